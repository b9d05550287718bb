//! What a run logs beside its output.

use std::time::Duration;

use contree_api::OperationId;
use contree_api::event::{
    EventData, Exit as ExitEvent, ExitResources, Init, Interface, Network, NetworkConfig, Shutdown,
    ShutdownReason, Spawn,
};
use contree_api::time::event_ts;
use contree_sandbox::{Exit, NetworkInfo, Running};

use super::plan::{ProcessPlan, masked};
use super::signals::SIGKILL;

/// What `init` says of the machine; the same for all runs of a server.
#[derive(Debug, Clone)]
pub(crate) struct Machine {
    kernel: String,
    machine: String,
}

impl Machine {
    pub(crate) fn of_host() -> Self {
        let name = rustix::system::uname();
        let text = |part: &std::ffi::CStr| part.to_string_lossy().into_owned();
        Self {
            kernel: format!("{} {}", text(name.release()), text(name.version())),
            machine: text(name.machine()),
        }
    }

    /// The sandbox is up.
    pub(crate) fn init_event(&self, operation: OperationId, hostname: &str) -> EventData {
        EventData::Init(Init {
            started_at: event_ts(jiff::Timestamp::now()),
            runtime_path: "/run/contree".to_owned(),
            verbose: false,
            init_pid: 1,
            hostname: Some(hostname.to_owned()),
            kernel: Some(self.kernel.clone()),
            machine: Some(self.machine.clone()),
            // Each sandbox boots once, and belongs to one operation.
            boot_id: Some(operation.to_string()),
        })
    }
}

/// Its network is set up.
pub(crate) fn network_event(info: &NetworkInfo) -> EventData {
    let interfaces = info.counters.iter().map(|counters| Interface {
        name: counters.name.clone(),
        rx_bytes: counters.rx_bytes,
        rx_packets: counters.rx_packets,
        rx_errs: counters.rx_errors,
        rx_drop: counters.rx_dropped,
        tx_bytes: counters.tx_bytes,
        tx_packets: counters.tx_packets,
        tx_errs: counters.tx_errors,
        tx_drop: counters.tx_dropped,
    });
    EventData::Network(Network {
        interfaces: interfaces.collect(),
        configured: Some(NetworkConfig {
            ip4: Some(format!("{}/32", info.address)),
            ip4_gw: Some(info.gateway.to_string()),
            nameserver: info.resolvers.first().map(ToString::to_string),
            ..NetworkConfig::default()
        }),
        error: None,
    })
}

/// A process was started.
pub(crate) fn spawn_event(plan: &ProcessPlan, running: &Running, timeout: u32) -> EventData {
    let mut argv = running
        .argv
        .iter()
        .map(|arg| String::from_utf8_lossy(arg).into_owned());
    EventData::Spawn(Spawn {
        pid: running.pid,
        command: argv.next().unwrap_or_default(),
        args: argv.collect(),
        shell: plan.shell,
        cwd: plan.cwd.clone(),
        uid: plan.process.uid,
        gid: plan.process.gid,
        timeout,
        truncate_at: plan.truncate_at,
        env: Some(masked(&plan.env)),
    })
}

/// A process ended.
pub(crate) fn exit_event(pid: i32, exit: &Exit, timed_out: bool) -> ExitEvent {
    let used = &exit.usage;
    ExitEvent {
        pid,
        code: exit.code.unwrap_or(-1),
        signal: exit.signal.unwrap_or(-1),
        core_dump: exit.core_dump,
        timed_out,
        duration_ms: u64::try_from(exit.duration.as_millis()).unwrap_or(u64::MAX),
        resources: ExitResources {
            user_time_us: used.user_time_us,
            sys_time_us: used.sys_time_us,
            max_rss_kb: used.max_rss_kb,
            shared_memory: used.shared_memory,
            unshared_memory: used.unshared_memory,
            swaps: used.swaps,
            minor_faults: used.minor_faults,
            major_faults: used.major_faults,
            voluntary_ctx_switches: used.voluntary_ctx_switches,
            involuntary_ctx_switches: used.involuntary_ctx_switches,
            block_input_ops: used.block_input_ops,
            block_output_ops: used.block_output_ops,
            ipc_msgs_sent: used.ipc_msgs_sent,
            ipc_msgs_received: used.ipc_msgs_received,
            signals_received: used.signals_received,
        },
    }
}

/// A process was killed and nobody told how it ended.
pub(crate) fn killed_event(pid: i32, timed_out: bool, ran: Duration) -> ExitEvent {
    ExitEvent {
        pid,
        code: -1,
        signal: SIGKILL,
        core_dump: false,
        timed_out,
        duration_ms: u64::try_from(ran.as_millis()).unwrap_or(u64::MAX),
        resources: ExitResources::default(),
    }
}

/// The sandbox winds down.
pub(crate) fn shutdown_event(reason: ShutdownReason) -> EventData {
    EventData::Shutdown(Shutdown {
        stopped_at: event_ts(jiff::Timestamp::now()),
        reason,
    })
}
