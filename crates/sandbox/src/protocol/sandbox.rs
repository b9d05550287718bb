//! Frames between the server and the init of one sandbox.

use super::codec::{Decoder, Encoder, Malformed};
use super::{Failure, FailureSource};
use crate::job::{Attachment, Process};

/// Names a process of one sandbox from its start on, before it has a pid. Never used twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ProcessId(pub(crate) u32);

/// From the server to init.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Order {
    /// Make the root filesystem and start the first process. Always the first frame; carries the
    /// descriptors of [`Start`](Order::Start).
    Begin(Box<Begin>),
    /// Start a process; carries standard input if it has one, then output and error output.
    Start { id: ProcessId, process: Process },
    /// Send a signal to the process group of a process.
    Signal { id: ProcessId, signal: i32 },
    /// Kill everything, report, and end.
    Kill,
}

/// What init needs of a job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Begin {
    pub(crate) lowers: Vec<String>,
    pub(crate) upper: String,
    pub(crate) work: String,
    pub(crate) hostname: String,
    pub(crate) hosts: Vec<u8>,
    pub(crate) resolv_conf: Vec<u8>,
    pub(crate) files: Vec<Attachment>,
    pub(crate) id: ProcessId,
    pub(crate) process: Process,
}

/// From init to the server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Notice {
    /// Init waits for its job. The first frame.
    Ready,
    /// The sandbox cannot be; nothing has been started. The last frame.
    Failed(Failure),
    /// A process runs.
    Started {
        id: ProcessId,
        pid: i32,
        /// The program as found.
        program: Vec<u8>,
    },
    /// A process could not be started.
    NotStarted { id: ProcessId, why: NotStarted },
    /// A process ended.
    Ended { id: ProcessId, end: End },
}

/// Why a process could not be started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum NotStarted {
    /// The program: not there, not executable.
    Exec { path: Vec<u8>, errno: i32 },
    /// Its working directory.
    Cwd { path: Vec<u8>, errno: i32 },
    /// Its user or group.
    User { uid: u32, gid: u32, errno: i32 },
    /// A file that was to be put in place before.
    File { path: Vec<u8>, failure: Failure },
    /// Anything else.
    Other(Failure),
}

/// How a process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct End {
    /// Exit code, unless killed.
    pub(crate) code: Option<i32>,
    /// Signal that killed it.
    pub(crate) signal: Option<i32>,
    pub(crate) core_dump: bool,
    /// From start to end.
    pub(crate) nanoseconds: u64,
    pub(crate) usage: Usage,
}

/// What a process and the children it waited for used, as `getrusage` has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[expect(
    missing_docs,
    reason = "they are the kernel's names and units (times in µs, sizes in KiB)"
)]
pub struct Usage {
    pub user_time_us: i64,
    pub sys_time_us: i64,
    pub max_rss_kb: i64,
    pub shared_memory: i64,
    pub unshared_memory: i64,
    pub swaps: i64,
    pub minor_faults: i64,
    pub major_faults: i64,
    pub voluntary_ctx_switches: i64,
    pub involuntary_ctx_switches: i64,
    pub block_input_ops: i64,
    pub block_output_ops: i64,
    pub ipc_msgs_sent: i64,
    pub ipc_msgs_received: i64,
    pub signals_received: i64,
}

impl Usage {
    const fn to_array(self) -> [i64; 15] {
        [
            self.user_time_us,
            self.sys_time_us,
            self.max_rss_kb,
            self.shared_memory,
            self.unshared_memory,
            self.swaps,
            self.minor_faults,
            self.major_faults,
            self.voluntary_ctx_switches,
            self.involuntary_ctx_switches,
            self.block_input_ops,
            self.block_output_ops,
            self.ipc_msgs_sent,
            self.ipc_msgs_received,
            self.signals_received,
        ]
    }

    const fn from_array(a: [i64; 15]) -> Self {
        Self {
            user_time_us: a[0],
            sys_time_us: a[1],
            max_rss_kb: a[2],
            shared_memory: a[3],
            unshared_memory: a[4],
            swaps: a[5],
            minor_faults: a[6],
            major_faults: a[7],
            voluntary_ctx_switches: a[8],
            involuntary_ctx_switches: a[9],
            block_input_ops: a[10],
            block_output_ops: a[11],
            ipc_msgs_sent: a[12],
            ipc_msgs_received: a[13],
            signals_received: a[14],
        }
    }
}

impl From<libc::rusage> for Usage {
    fn from(usage: libc::rusage) -> Self {
        let microseconds = |time: libc::timeval| time.tv_sec * 1_000_000 + time.tv_usec;
        Self {
            user_time_us: microseconds(usage.ru_utime),
            sys_time_us: microseconds(usage.ru_stime),
            max_rss_kb: usage.ru_maxrss,
            shared_memory: usage.ru_ixrss,
            unshared_memory: usage.ru_idrss,
            swaps: usage.ru_nswap,
            minor_faults: usage.ru_minflt,
            major_faults: usage.ru_majflt,
            voluntary_ctx_switches: usage.ru_nvcsw,
            involuntary_ctx_switches: usage.ru_nivcsw,
            block_input_ops: usage.ru_inblock,
            block_output_ops: usage.ru_oublock,
            ipc_msgs_sent: usage.ru_msgsnd,
            ipc_msgs_received: usage.ru_msgrcv,
            signals_received: usage.ru_nsignals,
        }
    }
}

impl Order {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut out = Encoder::default();
        match self {
            Self::Begin(begin) => {
                out.u8(0).count(begin.lowers.len());
                for lower in &begin.lowers {
                    out.bytes(lower.as_bytes());
                }
                out.bytes(begin.upper.as_bytes())
                    .bytes(begin.work.as_bytes())
                    .bytes(begin.hostname.as_bytes())
                    .bytes(&begin.hosts)
                    .bytes(&begin.resolv_conf)
                    .count(begin.files.len());
                for file in &begin.files {
                    file.encode(&mut out);
                }
                out.u32(begin.id.0);
                begin.process.encode(&mut out);
            }
            Self::Start { id, process } => {
                out.u8(1).u32(id.0);
                process.encode(&mut out);
            }
            Self::Signal { id, signal } => {
                out.u8(2).u32(id.0).i32(*signal);
            }
            Self::Kill => {
                out.u8(3);
            }
        }
        out.finish()
    }

    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        let mut from = Decoder::new(bytes);
        let order = match from.u8()? {
            0 => Self::Begin(Box::new(Begin {
                lowers: from.list(Decoder::string)?,
                upper: from.string()?,
                work: from.string()?,
                hostname: from.string()?,
                hosts: from.vec()?,
                resolv_conf: from.vec()?,
                files: from.list(Attachment::decode)?,
                id: ProcessId(from.u32()?),
                process: Process::decode(&mut from)?,
            })),
            1 => Self::Start {
                id: ProcessId(from.u32()?),
                process: Process::decode(&mut from)?,
            },
            2 => Self::Signal {
                id: ProcessId(from.u32()?),
                signal: from.i32()?,
            },
            3 => Self::Kill,
            _ => return Err(Malformed("unknown order")),
        };
        from.end()?;
        Ok(order)
    }
}

impl Failure {
    pub(crate) fn encode(&self, to: &mut Encoder) {
        to.i32(self.errno()).bytes(self.step.as_bytes());
    }

    pub(crate) fn decode(from: &mut Decoder<'_>) -> Result<Self, Malformed> {
        let source = FailureSource(from.i32()?);
        Ok(Self {
            source,
            step: from.string()?,
        })
    }
}

/// A path short enough for a notice. None that exists is longer, but a command may name one.
pub(crate) fn clip(path: &[u8]) -> &[u8] {
    const PATH_MAX: usize = 4096;
    &path[..path.len().min(PATH_MAX)]
}

impl NotStarted {
    fn encode(&self, to: &mut Encoder) {
        match self {
            Self::Exec { path, errno } => to.u8(0).bytes(clip(path)).i32(*errno),
            Self::Cwd { path, errno } => to.u8(1).bytes(clip(path)).i32(*errno),
            Self::User { uid, gid, errno } => to.u8(2).u32(*uid).u32(*gid).i32(*errno),
            Self::File { path, failure } => {
                failure.encode(to.u8(3).bytes(clip(path)));
                to
            }
            Self::Other(failure) => {
                failure.encode(to.u8(4));
                to
            }
        };
    }

    fn decode(from: &mut Decoder<'_>) -> Result<Self, Malformed> {
        Ok(match from.u8()? {
            0 => Self::Exec {
                path: from.vec()?,
                errno: from.i32()?,
            },
            1 => Self::Cwd {
                path: from.vec()?,
                errno: from.i32()?,
            },
            2 => Self::User {
                uid: from.u32()?,
                gid: from.u32()?,
                errno: from.i32()?,
            },
            3 => Self::File {
                path: from.vec()?,
                failure: Failure::decode(from)?,
            },
            4 => Self::Other(Failure::decode(from)?),
            _ => return Err(Malformed("unknown reason")),
        })
    }

    /// For sending from a process that is about to exec, over a pipe.
    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        let mut out = Encoder::default();
        self.encode(&mut out);
        out.finish()
    }

    pub(crate) fn from_bytes(bytes: &[u8]) -> Result<Self, Malformed> {
        Self::decode(&mut Decoder::new(bytes))
    }
}

impl Notice {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut out = Encoder::default();
        match self {
            Self::Failed(failure) => failure.encode(out.u8(0)),
            Self::Ready => {
                out.u8(4);
            }
            Self::Started { id, pid, program } => {
                out.u8(1).u32(id.0).i32(*pid).bytes(clip(program));
            }
            Self::NotStarted { id, why } => why.encode(out.u8(2).u32(id.0)),
            Self::Ended { id, end } => {
                let (kind, number) = match (end.code, end.signal) {
                    (Some(code), _) => (0, code),
                    (None, Some(signal)) => (1, signal),
                    (None, None) => (2, 0),
                };
                out.u8(3)
                    .u32(id.0)
                    .u8(kind)
                    .i32(number)
                    .flag(end.core_dump)
                    .u64(end.nanoseconds);
                for number in end.usage.to_array() {
                    out.i64(number);
                }
            }
        }
        out.finish()
    }

    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        let mut from = Decoder::new(bytes);
        let notice = match from.u8()? {
            0 => Self::Failed(Failure::decode(&mut from)?),
            1 => Self::Started {
                id: ProcessId(from.u32()?),
                pid: from.i32()?,
                program: from.vec()?,
            },
            2 => Self::NotStarted {
                id: ProcessId(from.u32()?),
                why: NotStarted::decode(&mut from)?,
            },
            3 => {
                let id = ProcessId(from.u32()?);
                let kind = from.u8()?;
                let number = from.i32()?;
                let mut end = End {
                    code: (kind == 0).then_some(number),
                    signal: (kind == 1).then_some(number),
                    core_dump: from.flag()?,
                    nanoseconds: from.u64()?,
                    usage: Usage::default(),
                };
                let mut numbers = [0; 15];
                for number in &mut numbers {
                    *number = from.i64()?;
                }
                end.usage = Usage::from_array(numbers);
                Self::Ended { id, end }
            }
            4 => Self::Ready,
            _ => return Err(Malformed("unknown notice")),
        };
        from.end()?;
        Ok(notice)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::job::Program;

    fn process() -> Process {
        Process {
            program: Program::Command(vec![b"sh".to_vec(), b"\xff\xfe".to_vec()]),
            env: vec![(b"A".to_vec(), b"b=c".to_vec())],
            cwd: b"/x".to_vec(),
            uid: 1,
            gid: 2,
            stdin: true,
        }
    }

    #[test]
    fn orders_round_trip() {
        let begin = Begin {
            lowers: vec!["layers/a".into(), "layers/b".into()],
            upper: "uppers/x/upper".into(),
            work: "uppers/x/work".into(),
            hostname: "h".into(),
            hosts: b"127.0.0.1 localhost\n".to_vec(),
            resolv_conf: Vec::new(),
            files: vec![Attachment {
                source: "files/aa/b".into(),
                dest: b"bin/x".to_vec(),
                uid: 3,
                gid: 4,
                mode: 0o4755,
            }],
            id: ProcessId(1),
            process: process(),
        };
        for order in [
            Order::Begin(Box::new(begin)),
            Order::Start {
                id: ProcessId(2),
                process: process(),
            },
            Order::Signal {
                id: ProcessId(3),
                signal: 15,
            },
            Order::Kill,
        ] {
            assert_eq!(Order::decode(&order.encode()), Ok(order));
        }
    }

    #[test]
    fn notices_round_trip_and_every_cut_is_refused() {
        let failure = Failure {
            step: "mount proc".into(),
            source: FailureSource(1),
        };
        let usage = Usage {
            max_rss_kb: 7,
            signals_received: 9,
            ..Usage::default()
        };
        let end = End {
            code: Some(3),
            nanoseconds: 5,
            usage,
            ..End::default()
        };
        let killed = End {
            signal: Some(9),
            core_dump: true,
            ..End::default()
        };
        let id = ProcessId(1);
        for notice in [
            Notice::Ready,
            Notice::Failed(failure.clone()),
            Notice::Started {
                id,
                pid: 2,
                program: b"/bin/true".to_vec(),
            },
            Notice::NotStarted {
                id,
                why: NotStarted::Exec {
                    path: b"x".to_vec(),
                    errno: 2,
                },
            },
            Notice::NotStarted {
                id,
                why: NotStarted::Cwd {
                    path: b"x".to_vec(),
                    errno: 20,
                },
            },
            Notice::NotStarted {
                id,
                why: NotStarted::User {
                    uid: 7,
                    gid: 8,
                    errno: 22,
                },
            },
            Notice::NotStarted {
                id,
                why: NotStarted::File {
                    path: b"y".to_vec(),
                    failure: failure.clone(),
                },
            },
            Notice::NotStarted {
                id,
                why: NotStarted::Other(failure),
            },
            Notice::Ended { id, end },
            Notice::Ended { id, end: killed },
        ] {
            let bytes = notice.encode();
            for cut in 0..bytes.len() {
                assert!(
                    Notice::decode(&bytes[..cut]).is_err(),
                    "{notice:?} cut at {cut}"
                );
            }
            assert_eq!(Notice::decode(&bytes), Ok(notice));
        }
    }
}
