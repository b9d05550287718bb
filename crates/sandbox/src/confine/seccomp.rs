//! The seccomp filter.
//!
//! Everything is allowed but what is listed, and system calls newer than this list get ENOSYS,
//! so that a kernel's new features are not reachable before somebody has looked at them.
//! Programs are used to that answer and do without.
//!
//! The kernel remembers which calls a filter always allows and does not run it for them, so a
//! long list costs nothing at run time.
//!
//! Programs of another architecture (32-bit x86) get ENOSYS for everything, so they do not run:
//! their calls have other numbers, and a filter that does not know these is none.

use libc::{EAFNOSUPPORT, ENOPROTOOPT, ENOSYS, EPERM, EPROTONOSUPPORT, c_long};

use crate::sys::seccomp::Instruction;

/// Highest system call number that has been looked at: `removexattrat` of Linux 6.13. From 424
/// on numbers are the same on every architecture.
const NEWEST_KNOWN: u32 = 466;

#[cfg(target_arch = "x86_64")]
const ARCHITECTURE: u32 = 0xc000_003e;
#[cfg(target_arch = "aarch64")]
const ARCHITECTURE: u32 = 0xc000_00b7;

/// Refused whatever the arguments: call, error.
const REFUSED: &[(c_long, i32)] = &[
    // Keys are not kept apart by all namespaces, and PAM does without.
    (libc::SYS_add_key, ENOSYS),
    (libc::SYS_request_key, ENOSYS),
    (libc::SYS_keyctl, ENOSYS),
    // Large parts of the kernel with a history.
    (libc::SYS_bpf, EPERM),
    (libc::SYS_perf_event_open, EPERM),
    (libc::SYS_userfaultfd, EPERM),
    (libc::SYS_fanotify_init, EPERM),
    (libc::SYS_io_uring_setup, ENOSYS),
    (libc::SYS_io_uring_enter, ENOSYS),
    (libc::SYS_io_uring_register, ENOSYS),
    // mount(2) does all that programs want; the newer interface falls back to it.
    (libc::SYS_fsopen, ENOSYS),
    (libc::SYS_fsconfig, ENOSYS),
    (libc::SYS_fsmount, ENOSYS),
    (libc::SYS_fspick, ENOSYS),
    (libc::SYS_open_tree, ENOSYS),
    (libc::SYS_move_mount, ENOSYS),
    (libc::SYS_mount_setattr, ENOSYS),
    // Its flags are in memory, where no filter sees them; libc falls back to clone.
    (libc::SYS_clone3, ENOSYS),
    // Around a root folder.
    (libc::SYS_open_by_handle_at, EPERM),
    // The machine's, not a sandbox's.
    (libc::SYS_kexec_load, EPERM),
    (libc::SYS_init_module, EPERM),
    (libc::SYS_finit_module, EPERM),
    (libc::SYS_delete_module, EPERM),
    (libc::SYS_reboot, EPERM),
    (libc::SYS_swapon, EPERM),
    (libc::SYS_swapoff, EPERM),
    (libc::SYS_acct, EPERM),
    (libc::SYS_quotactl, EPERM),
    (libc::SYS_quotactl_fd, EPERM),
    (libc::SYS_settimeofday, EPERM),
    (libc::SYS_clock_settime, EPERM),
    (libc::SYS_clock_adjtime, EPERM),
    (libc::SYS_adjtimex, EPERM),
    (libc::SYS_syslog, EPERM),
    (libc::SYS_vhangup, EPERM),
    (libc::SYS_lookup_dcookie, EPERM),
    (libc::SYS_nfsservctl, ENOSYS),
    #[cfg(target_arch = "x86_64")]
    (libc::SYS_kexec_file_load, EPERM),
    #[cfg(target_arch = "x86_64")]
    (libc::SYS_iopl, EPERM),
    #[cfg(target_arch = "x86_64")]
    (libc::SYS_ioperm, EPERM),
    #[cfg(target_arch = "x86_64")]
    (libc::SYS_modify_ldt, EPERM),
    #[cfg(target_arch = "x86_64")]
    (libc::SYS_uselib, ENOSYS),
    #[cfg(target_arch = "x86_64")]
    (libc::SYS__sysctl, ENOSYS),
    // sync() writes out every filesystem of the host. It "succeeds" without doing so: a
    // sandbox's root is volatile (see crate::rootfs), there is nothing of its own to write.
    (libc::SYS_sync, 0),
];

/// Address families a sandbox may have sockets of: unix, IPv4, IPv6, netlink, packet.
const FAMILIES: [i32; 5] = [
    libc::AF_UNIX,
    libc::AF_INET,
    libc::AF_INET6,
    libc::AF_NETLINK,
    libc::AF_PACKET,
];

/// Netlink protocols: routing, socket diagnostics, audit, generic, device events.
const NETLINK: [i32; 5] = [
    libc::NETLINK_ROUTE,
    libc::NETLINK_SOCK_DIAG,
    libc::NETLINK_AUDIT,
    libc::NETLINK_GENERIC,
    libc::NETLINK_KOBJECT_UEVENT,
];

/// Terminal requests that push input into somebody else's terminal.
const TERMINAL: [u32; 2] = [0x5412 /* TIOCSTI */, 0x541c /* TIOCLINUX */];

/// First and last socket option of the packet filters, of both IP levels.
const PACKET_FILTER_OPTIONS: (u32, u32) = (64, 65);

const LOAD: u16 = 0x20; // BPF_LD | BPF_W | BPF_ABS
const EQUAL: u16 = 0x15; // BPF_JMP | BPF_JEQ | BPF_K
const GREATER: u16 = 0x25; // BPF_JMP | BPF_JGT | BPF_K
const BITS: u16 = 0x45; // BPF_JMP | BPF_JSET | BPF_K
const RETURN: u16 = 0x06; // BPF_RET | BPF_K

/// Offsets in `struct seccomp_data`.
const NUMBER: u32 = 0;
const ARCH: u32 = 4;

/// Low half of an argument. Both halves of flags and small numbers would matter only if the
/// kernel looked at more than it does: all arguments here are of type `int`.
const fn argument(index: u32) -> u32 {
    16 + 8 * index
}

const fn allow() -> Instruction {
    Instruction {
        code: RETURN,
        jump_true: 0,
        jump_false: 0,
        operand: libc::SECCOMP_RET_ALLOW,
    }
}

const fn refuse(errno: i32) -> Instruction {
    let operand = libc::SECCOMP_RET_ERRNO | errno as u32;
    Instruction {
        code: RETURN,
        jump_true: 0,
        jump_false: 0,
        operand,
    }
}

const fn load(offset: u32) -> Instruction {
    Instruction {
        code: LOAD,
        jump_true: 0,
        jump_false: 0,
        operand: offset,
    }
}

/// Runs the next instruction when the test holds, else skips it.
const fn when(code: u16, operand: u32) -> Instruction {
    Instruction {
        code,
        jump_true: 0,
        jump_false: 1,
        operand,
    }
}

/// Runs the next instruction when the test does not hold.
const fn unless(code: u16, operand: u32) -> Instruction {
    Instruction {
        code,
        jump_true: 1,
        jump_false: 0,
        operand,
    }
}

/// The filter's program.
pub(crate) fn filter() -> Vec<Instruction> {
    let mut program = vec![
        load(ARCH),
        unless(EQUAL, ARCHITECTURE),
        refuse(ENOSYS),
        load(NUMBER),
        // On x86_64 also the calls of the x32 interface, which have bit 30 set.
        when(GREATER, NEWEST_KNOWN),
        refuse(ENOSYS),
    ];
    for (call, errno) in REFUSED {
        program.extend([when(EQUAL, number(*call)), refuse(*errno)]);
    }
    // A nested user namespace would bring back every capability dropped here.
    for call in [libc::SYS_clone, libc::SYS_unshare] {
        on_call(
            &mut program,
            call,
            vec![
                load(argument(0)),
                when(BITS, libc::CLONE_NEWUSER as u32),
                refuse(EPERM),
                allow(),
            ],
        );
    }
    let mut terminal = vec![load(argument(1))];
    for request in TERMINAL {
        terminal.extend([when(EQUAL, request), refuse(EPERM)]);
    }
    terminal.push(allow());
    on_call(&mut program, libc::SYS_ioctl, terminal);
    for call in [libc::SYS_socket, libc::SYS_socketpair] {
        let mut block = vec![load(argument(0))];
        for family in FAMILIES
            .into_iter()
            .filter(|family| *family != libc::AF_NETLINK)
        {
            block.extend([when(EQUAL, family as u32), allow()]);
        }
        block.extend([unless(EQUAL, libc::AF_NETLINK as u32), refuse(EAFNOSUPPORT)]);
        block.push(load(argument(2)));
        for protocol in NETLINK {
            block.extend([when(EQUAL, protocol as u32), allow()]);
        }
        block.push(refuse(EPROTONOSUPPORT));
        on_call(&mut program, call, block);
    }
    // iptables' old interface; without CAP_NET_ADMIN it is refused anyway, but after some work.
    let (first, last) = PACKET_FILTER_OPTIONS;
    let mut options = vec![load(argument(2))];
    for option in first..=last {
        for level in [libc::IPPROTO_IP, libc::IPPROTO_IPV6] {
            options.extend([
                // Skips the rest of this block.
                Instruction {
                    code: EQUAL,
                    jump_true: 0,
                    jump_false: 4,
                    operand: option,
                },
                load(argument(1)),
                when(EQUAL, level as u32),
                refuse(ENOPROTOOPT),
                load(argument(2)),
            ]);
        }
    }
    options.push(allow());
    on_call(&mut program, libc::SYS_setsockopt, options);
    program.push(allow());
    program
}

/// Adds `block`, which returns on every path, for one call. The call's number is loaded before
/// and after, since the block is skipped whole.
fn on_call(program: &mut Vec<Instruction>, call: c_long, block: Vec<Instruction>) {
    let length = u8::try_from(block.len()).expect("blocks are short and fixed");
    program.push(Instruction {
        code: EQUAL,
        jump_true: 0,
        jump_false: length,
        operand: number(call),
    });
    program.extend(block);
}

const fn number(call: c_long) -> u32 {
    call as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the kernel would do, for the instructions used here.
    fn run(program: &[Instruction], arch: u32, call: u32, arguments: [u32; 6]) -> u32 {
        let (mut accumulator, mut at) = (0, 0);
        loop {
            let i = program[at];
            at += 1;
            let holds = match i.code {
                LOAD => {
                    accumulator = match i.operand {
                        NUMBER => call,
                        ARCH => arch,
                        offset => arguments[((offset - 16) / 8) as usize],
                    };
                    continue;
                }
                RETURN => return i.operand,
                EQUAL => accumulator == i.operand,
                GREATER => accumulator > i.operand,
                BITS => accumulator & i.operand != 0,
                code => panic!("instruction {code:#x}"),
            };
            at += usize::from(if holds { i.jump_true } else { i.jump_false });
        }
    }

    fn verdict(call: c_long, arguments: &[i32]) -> Result<(), i32> {
        let mut all = [0; 6];
        for (to, from) in all.iter_mut().zip(arguments) {
            *to = *from as u32;
        }
        match run(&filter(), ARCHITECTURE, number(call), all) {
            libc::SECCOMP_RET_ALLOW => Ok(()),
            other => Err((other & 0xffff) as i32),
        }
    }

    #[test]
    fn verdicts() {
        for (call, arguments, expected) in [
            (libc::SYS_read, &[0][..], Ok(())),
            (libc::SYS_mount, &[], Ok(())),
            (libc::SYS_ptrace, &[], Ok(())),
            (libc::SYS_clone, &[libc::SIGCHLD], Ok(())),
            (
                libc::SYS_clone,
                &[libc::CLONE_NEWUSER | libc::SIGCHLD],
                Err(EPERM),
            ),
            (libc::SYS_clone, &[libc::CLONE_NEWPID], Ok(())),
            (libc::SYS_clone3, &[], Err(ENOSYS)),
            (libc::SYS_unshare, &[libc::CLONE_NEWNS], Ok(())),
            (libc::SYS_unshare, &[libc::CLONE_NEWUSER], Err(EPERM)),
            (libc::SYS_ioctl, &[0, 0x5401], Ok(())),
            (libc::SYS_ioctl, &[0, 0x5412], Err(EPERM)),
            (libc::SYS_socket, &[libc::AF_INET, 1, 0], Ok(())),
            (libc::SYS_socket, &[libc::AF_VSOCK, 1, 0], Err(EAFNOSUPPORT)),
            (libc::SYS_socket, &[libc::AF_ALG, 5, 0], Err(EAFNOSUPPORT)),
            (
                libc::SYS_socket,
                &[libc::AF_NETLINK, 3, libc::NETLINK_ROUTE],
                Ok(()),
            ),
            (
                libc::SYS_socket,
                &[libc::AF_NETLINK, 3, libc::NETLINK_NETFILTER],
                Err(EPROTONOSUPPORT),
            ),
            (
                libc::SYS_setsockopt,
                &[3, libc::IPPROTO_IP, 64],
                Err(ENOPROTOOPT),
            ),
            (
                libc::SYS_setsockopt,
                &[3, libc::IPPROTO_IPV6, 65],
                Err(ENOPROTOOPT),
            ),
            (libc::SYS_setsockopt, &[3, libc::SOL_SOCKET, 64], Ok(())),
            (libc::SYS_setsockopt, &[3, libc::IPPROTO_IPV6, 26], Ok(())),
            (libc::SYS_bpf, &[], Err(EPERM)),
            (libc::SYS_sync, &[], Err(0)),
            (467, &[], Err(ENOSYS)),
        ] {
            assert_eq!(
                verdict(call, arguments),
                expected,
                "call {call} {arguments:?}"
            );
        }
    }

    #[test]
    fn other_architectures_get_nothing() {
        let i386 = 0x4000_0003;
        let refused = libc::SECCOMP_RET_ERRNO | ENOSYS as u32;
        assert_eq!(run(&filter(), i386, 3, [0; 6]), refused);
        let x32_read = 0x4000_0000;
        assert_eq!(run(&filter(), ARCHITECTURE, x32_read, [0; 6]), refused);
    }
}
