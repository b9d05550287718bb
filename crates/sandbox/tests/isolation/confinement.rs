//! What root in a sandbox cannot see, touch or break.

use std::net::Ipv4Addr;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixListener};

use tokio::io::AsyncReadExt;

use crate::guest::with_guests;
use crate::sandboxes::{finish, line};

#[test]
fn privileged_the_hosts_files_are_not_there() {
    with_guests(|guests| async move {
        let secret = tempfile::Builder::new()
            .prefix("host-secret-")
            .tempfile_in("/var/tmp")
            .expect("a file");
        std::fs::write(secret.path(), "the secret").expect("write");
        let path = secret.path().display();
        let script = format!(
            r#"
            cat {path} /proc/self/root{path} /proc/self/cwd/../../..{path} /proc/1/root{path}
            # Out of a chroot inside the root, past where the root itself was entered.
            perl -e 'mkdir "/tmp/jail"; opendir(my $out, "/"); chroot("/tmp/jail");
                     chdir($out); chdir("..") for 1..64; chroot("."); exec("cat", "{path}")'
            find / -xdev -name 'host-secret-*'
            cat /proc/self/mountinfo
            "#
        );
        let text = guests.sh(&script).await.text();
        assert!(!text.contains("the secret"), "{text}");
        // What `find` finds.
        assert!(!text.lines().any(|line| line.starts_with('/')), "{text}");
        // The list of mounts does not even tell where the store is, nor on which disk.
        assert!(text.contains(" / / "), "there is a list: {text}");
        let store = guests.sandboxes.store().to_string_lossy().into_owned();
        assert!(
            !text.contains(&store) && !text.contains("/dev/vd"),
            "{text}"
        );
        guests
    });
}

#[test]
fn privileged_nothing_is_inherited() {
    with_guests(|guests| async move {
        let text = guests
            .sh("perl -e 'opendir(D, \"/proc/self/fd\"); print join(\" \", sort readdir D), \"\\n\"'; env; cat /proc/self/status")
            .await
            .text();
        let mut lines = text.lines();
        // The fourth is the folder that is being read.
        assert_eq!(lines.next(), Some(". .. 0 1 2 3"), "{text}");
        let variables: Vec<&str> = lines
            .by_ref()
            .take_while(|line| !line.starts_with("Name:"))
            .collect();
        let own = |line: &&str| {
            ["PATH=", "PWD=", "OLDPWD=", "SHLVL=", "_="]
                .iter()
                .any(|name| line.starts_with(name))
        };
        assert!(variables.iter().all(own), "{text}");
        // No capability that counts for something outside, none of the kernel's administration.
        let bounding = text
            .lines()
            .find_map(|line| line.strip_prefix("CapBnd:"))
            .expect("a line");
        let bounding = u64::from_str_radix(bounding.trim(), 16).expect("a number");
        for (number, name) in [
            (12, "NET_ADMIN"),
            (16, "SYS_MODULE"),
            (17, "SYS_RAWIO"),
            (39, "BPF"),
        ] {
            assert_eq!(bounding & (1 << number), 0, "{name}");
        }
        assert!(text.contains("Seccomp:\t2"), "{text}");
        guests
    });
}

#[test]
fn privileged_other_processes_are_not_there() {
    with_guests(|guests| async move {
        let text = guests
            .sh("ls -d /proc/[0-9]*; cat /proc/[0-9]*/comm")
            .await
            .text();
        let processes = text
            .lines()
            .filter(|line| line.starts_with("/proc/"))
            .count();
        assert!(processes <= 3, "{text}");
        let outside = std::process::id();
        guests
            .refused(&[&format!("kill -0 {outside}"), "kill -0 2000000"])
            .await;
        guests
    });
}

#[test]
fn privileged_signals_end_at_the_sandbox() {
    with_guests(|guests| async move {
        let job = guests.job("echo up; exec sleep 1000");
        let (other, mut running) = guests.sandboxes.host.spawn(job).await.expect("a sandbox");
        assert_eq!(line(&mut running.stdout).await, "up");
        // Everything it can name, itself included.
        let outcome = guests
            .sh("kill -9 1; kill -TERM 1; kill -9 -1; echo survived")
            .await;
        assert!(outcome.text().contains("survived"), "{outcome:?}");
        let script = "exec perl -e 'fork or sleep 1000; kill 9, -1; print \"alone\\n\"'";
        assert_eq!(guests.sh(script).await.text(), "alone\n");
        let third = other
            .exec(crate::sandboxes::process(&["echo", "alive"]))
            .await
            .expect("exec");
        assert_eq!(finish(third).await.text(), "alive\n");
        other.kill();
        other.gone().await;
        guests
    });
}

#[test]
fn privileged_init_is_closed() {
    with_guests(|guests| async move {
        guests
            .refused(&[
                "cat /proc/1/environ | grep .",
                "cat /proc/1/maps | grep .",
                "head -c 1 /proc/1/mem",
                "readlink /proc/1/exe",
                "readlink /proc/1/cwd",
                "ls /proc/1/root/",
                "ls -l /proc/1/fd/ | grep -- '->'",
                "readlink /proc/1/ns/mnt",
                "cat /proc/1/exe",
                "echo x > /proc/1/exe",
                "echo 0 > /proc/1/oom_score_adj",
                "echo x > /proc/1/mem",
            ])
            .await;
        guests
    });
}

#[test]
fn privileged_no_program_of_the_hosts_is_in_reach() {
    with_guests(|guests| async move {
        // A process of the guest whose program is the host's could be used to overwrite that.
        let script = r#"for exe in /proc/[0-9]*/exe; do readlink $exe; done; echo done"#;
        let text = guests.sh(script).await.text();
        assert!(text.contains("/bin/") && text.ends_with("done\n"), "{text}");
        assert!(!text.contains("contree"), "{text}");
        guests
    });
}

#[test]
fn privileged_devices_cannot_be_made_or_opened() {
    with_guests(|guests| async move {
        guests
            .refused(&[
                "mknod /tmp/disk b 254 0",
                "mknod /dev/disk b 8 0",
                "mknod /dev/mem c 1 1",
                "mknod /tmp/kmsg c 1 11",
                "mknod /dev/shm/mem c 1 1",
                "head -c 1 /dev/mem",
                "head -c 1 /dev/kmem",
                "head -c 1 /dev/kmsg",
                "head -c 1 /dev/port",
                "head -c 1 /dev/vda",
                "head -c 1 /dev/sda",
                "ls /dev/kvm /dev/fuse /dev/loop-control /dev/net/tun",
                "mkdir -p /mnt && mount -t ext4 /dev/vda /mnt",
                "mkdir -p /mnt && mount -t devtmpfs none /mnt",
                "mkdir -p /mnt && mount -t tmpfs -o dev none /mnt && mknod /mnt/mem c 1 1",
            ])
            .await;
        let text = guests
            .sh("echo x > /dev/null && head -c 2 /dev/zero | wc -c")
            .await
            .text();
        assert_eq!(text, "2\n");
        guests
    });
}

#[test]
fn privileged_the_hosts_settings_stay() {
    with_guests(|guests| async move {
        let read = |path: &str| std::fs::read_to_string(path).expect("read");
        let settings = [
            "/proc/sys/kernel/hostname",
            "/proc/sys/kernel/core_pattern",
            "/proc/sys/vm/swappiness",
        ];
        let before = settings.map(read);
        guests
            .refused(&[
                "echo '|/bin/sh' > /proc/sys/kernel/core_pattern",
                "echo /bin/sh > /proc/sys/kernel/modprobe",
                "echo 7 > /proc/sys/vm/swappiness",
                "echo 1 > /proc/sys/vm/drop_caches",
                "echo b > /proc/sysrq-trigger",
                "echo 1 > /sys/devices/system/cpu/cpu0/online",
                "umount /sys 2>/dev/null; mount -t sysfs none /sys",
                // The same through a /proc that is not made read-only.
                "umount /proc/sys 2>/dev/null; mount -o remount,rw /proc/sys 2>/dev/null; \
                 echo '|/bin/sh' > /proc/sys/kernel/core_pattern",
                "mkdir -p /mnt; mount -t proc none /mnt && echo 7 > /mnt/sys/vm/swappiness",
                "mkdir -p /mnt; mount -t proc none /mnt && echo b > /mnt/sysrq-trigger",
                "mkdir -p /mnt; mount -t proc none /mnt && head -c 1 /mnt/kcore",
                "mkdir -p /mnt; mount -t debugfs none /mnt",
                "mkdir -p /mnt; mount -t tracefs none /mnt",
                "mkdir -p /mnt; mount -t securityfs none /mnt",
                "head -c 1 /proc/kcore",
                "cat /proc/kmsg | grep .",
                "cat /proc/keys | grep .",
            ])
            .await;
        // Its name is its own.
        let text = guests
            .sh("hostname evil 2>/dev/null; hostname")
            .await
            .text();
        assert!(text == "evil\n" || text == "linuxkit\n", "{text}");
        assert_eq!(settings.map(read), before);
        guests
    });
}

#[test]
fn privileged_control_groups_are_no_way_out() {
    with_guests(|guests| async move {
        // Where a hierarchy can be mounted, it shows the sandbox's own group, which is the host's.
        let enter = |kind: &str, options: &str| {
            format!("mkdir -p /mnt && mount -t {kind} {options} none /mnt && cd /mnt")
        };
        let mut commands = Vec::new();
        for mount in [
            enter("cgroup", "-o memory"),
            enter("cgroup", "-o pids"),
            enter("cgroup", "-o devices"),
            enter("cgroup", "-o none,name=new"),
            enter("cgroup2", ""),
        ] {
            for attempt in [
                "echo /bin/sh > release_agent",
                "echo 1 > notify_on_release",
                "echo max > pids.max",
                "echo -1 > memory.limit_in_bytes",
                "echo max > memory.max",
                "echo a > devices.allow",
                "echo 0 > ../tasks",
                "echo 0 > ../cgroup.procs",
                "mkdir nested",
            ] {
                commands.push(format!("{mount} && {attempt}"));
            }
        }
        let commands: Vec<&str> = commands.iter().map(String::as_str).collect();
        guests.refused(&commands).await;
        guests
    });
}

#[cfg(target_arch = "x86_64")]
#[test]
fn privileged_dangerous_system_calls_are_refused() {
    with_guests(|guests| async move {
        // Name, number and arguments.
        let calls = [
            "add_key 248 0 0 0 0 0",
            "request_key 249 0 0 0 0",
            "keyctl 250 0 -3 1",
            "bpf 321 0 0 0",
            "perf_event_open 298 0 0 -1 -1 0",
            "userfaultfd 323 1",
            "io_uring_setup 425 8 0",
            "fanotify_init 300 0 0",
            "open_by_handle_at 304 3 0 0",
            "name_through_fsopen 430 0 0",
            "mount_setattr 442 -1 0 0 0 0",
            "open_tree 428 -100 0 1",
            "init_module 175 0 0 0",
            "finit_module 313 0 0 0",
            "delete_module 176 0 0",
            "kexec_load 246 0 0 0 0",
            "kexec_file_load 320 0 0 0 0 0",
            "reboot 169 -18751827 672274793 19088743",
            "swapon 167 0 0",
            "acct 163 0",
            "settimeofday 164 0 0",
            "clock_settime 227 0 0",
            "syslog 103 3 0 0",
            "iopl 172 3",
            "ioperm 173 112 1 1",
            "new_user_namespace_by_unshare 272 268435456",
            "new_user_namespace_by_clone 56 268435473 0 0 0 0",
            "clone3 435 0 0",
            "ptrace_attach_to_init 101 16 1 0 0",
            "ptrace_seize_init 101 16902 1 0 0",
            "vsock 41 40 1 0",
            "netfilter 41 16 3 12",
            "crypto 41 38 5 0",
            "x25 41 9 5 0",
            "bluetooth 41 31 3 0",
        ];
        let script = format!(
            r#"perl -e '
            for (@ARGV) {{
                my ($name, @call) = split / /;
                my $result = syscall($call[0], map {{ $_ + 0 }} @call[1 .. $#call]);
                exit if $name =~ /clone/ && $result == 0;
                print $result == -1 ? "refused" : "REACHED", " $name ", $! + 0, "\n";
            }}
            my $init = syscall(434, 1, 0);
            print $init >= 0 && syscall(438, $init, 0, 0) == -1 ? "refused" : "REACHED", " pidfd_getfd 1\n";
            my $buffer = "\0" x 8;
            my $here = pack("QQ", unpack("Q", pack("P", $buffer)), 8);
            my $there = pack("QQ", 0x400000, 8);
            print syscall(310, 1, $here, 1, $there, 1, 0) == -1 ? "refused" : "REACHED",
                " process_vm_readv ", $! + 0, "\n";
            print syscall(311, 1, $here, 1, $there, 1, 0) == -1 ? "refused" : "REACHED",
                " process_vm_writev ", $! + 0, "\n";
            ' {}"#,
            calls.map(|call| format!("'{call}'")).join(" ")
        );
        let text = guests.sh(&script).await.text();
        assert_eq!(text.matches("refused ").count(), calls.len() + 3, "{text}");
        assert!(!text.contains("REACHED"), "{text}");
        // What must be refused by the filter itself, not by luck with the arguments: EPERM (1),
        // ENOSYS (38), or for sockets EPROTONOSUPPORT (93), EAFNOSUPPORT (97).
        for line in text.lines() {
            let errno = line.rsplit(' ').next().expect("a word");
            assert!(["1", "38", "93", "97"].contains(&errno), "{line}");
        }
        guests
    });
}

#[test]
fn privileged_the_clock_is_the_hosts_and_users_do_not_nest() {
    with_guests(|guests| async move {
        guests
            .refused(&[
                "perl -e 'exit !(syscall(227, 0, pack(\"qq\", 1, 0)) == 0)'",
                "unshare --user true",
                "unshare --map-root-user true",
            ])
            .await;
        guests
    });
}

#[test]
fn privileged_unix_sockets_of_the_host_are_out_of_reach() {
    with_guests(|guests| async move {
        let name = format!("contree-isolation-{}", std::process::id());
        let address = SocketAddr::from_abstract_name(&name).expect("an address");
        let _listener = UnixListener::bind_addr(&address).expect("listen");
        let connect = format!(
            r#"perl -e 'socket(S, 1, 1, 0); exit !connect(S, pack("S a*", 1, "\0{name}"))'"#
        );
        guests.refused(&[&connect]).await;
        // The script itself is right.
        let bind = format!(
            r#"perl -e 'socket(L, 1, 1, 0); bind(L, pack("S a*", 1, "\0{name}")); listen(L, 1);
               socket(S, 1, 1, 0); print connect(S, pack("S a*", 1, "\0{name}"))'"#
        );
        assert_eq!(guests.sh(&bind).await.text(), "1");
        guests
    });
}

#[test]
fn privileged_memory_and_names_are_not_shared() {
    with_guests(|guests| async move {
        let job = guests.job(
            "echo here > /dev/shm/note; echo here > /tmp/note; \
             perl -e 'print syscall(29, 77, 4096, 01666) >= 0 ? \"made\\n\" : \"no\\n\"; \
             $| = 1; sleep 1000'",
        );
        let (first, mut running) = guests.sandboxes.host.spawn(job).await.expect("a sandbox");
        assert_eq!(line(&mut running.stdout).await, "made");
        guests
            .refused(&[
                "cat /dev/shm/note",
                "cat /tmp/note",
                "perl -e 'exit !(syscall(29, 77, 4096, 0) >= 0)'",
            ])
            .await;
        first.kill();
        let mut rest = Vec::new();
        running
            .stdout
            .read_to_end(&mut rest)
            .await
            .expect("the end");
        first.gone().await;
        guests
    });
}

#[test]
fn privileged_the_network_inside_is_only_the_outside() {
    use crate::world::{MACHINE, NAME, PUBLIC, RESOLVER, fetch, serve_pages};
    with_guests(|guests| async move {
        serve_pages((Ipv4Addr::UNSPECIFIED, 8080));
        assert!(fetch(MACHINE, 8080).is_ok());
        let get = |address: &str, port: u16| {
            format!("bash -c 'exec 3<>/dev/tcp/{address}/{port} && cat <&3'")
        };
        let text = guests.sh(&get(NAME, 80)).await.text();
        assert_eq!(text, format!("hello {MACHINE}"), "by name");
        let text = guests.sh(&get(&PUBLIC.to_string(), 80)).await.text();
        assert_eq!(text, format!("hello {MACHINE}"));
        let text = guests
            .sh(&format!(
                "cat /etc/resolv.conf /etc/hosts; getent hosts {NAME}"
            ))
            .await
            .text();
        assert_eq!(
            text.split_whitespace().collect::<Vec<_>>(),
            [
                "nameserver",
                &RESOLVER.to_string(),
                "127.0.0.1",
                "localhost",
                "127.0.1.1",
                "linuxkit",
                &PUBLIC.to_string(),
                NAME,
            ]
        );
        let gateway = "$(perl -ne 'print join(\".\", map hex, reverse unpack(\"(A2)4\", $1)) if \
                       /^eth0\\s+00000000\\s+(\\S+)/' /proc/net/route)";
        let gateway = format!(
            "gateway={gateway}; test -n \"$gateway\" || exit 0; exec 3<>/dev/tcp/$gateway/8080"
        );
        guests
            .refused(&[
                &get("127.0.0.1", 8080),
                &get(&MACHINE.to_string(), 8080),
                &get("10.9.9.9", 80),
                &get("169.254.169.254", 80),
                &format!("bash -c '{}'", gateway.replace('\'', "'\\''")),
            ])
            .await;
        guests
    });
}

#[test]
fn privileged_raw_packets_with_borrowed_senders_are_dropped() {
    use crate::world::{MACHINE, PATIENCE, PUBLIC};
    with_guests(|guests| async move {
        let listener = guests
            .world
            .internet()
            .run(|| std::net::UdpSocket::bind((PUBLIC, 7000)))
            .expect("bind on the internet");
        listener.set_read_timeout(Some(PATIENCE)).expect("set");
        let script = format!(
            r#"perl -e '
            my $to = pack("S n C4 x8", 2, 7000, split /\./, "{PUBLIC}");
            socket(R, 2, 3, 255) or die "raw: $!";
            for my $from ("10.200.0.9", "{MACHINE}", "203.0.113.5") {{
                my $udp = pack("n n n n a*", 7000, 7000, 8 + 8, 0, "borrowed");
                my $ip = pack("C C n n n C C n C4 C4", 0x45, 0, 20 + length $udp, 0, 0, 64, 17, 0,
                    (split /\./, $from), (split /\./, "{PUBLIC}"));
                send(R, $ip . $udp, 0, $to) or die "send: $!";
            }}
            socket(U, 2, 2, 0);
            send(U, "own", 0, $to) or die "own: $!";
            print "sent\n";
            '"#
        );
        assert_eq!(guests.sh(&script).await.text(), "sent\n");
        let mut buffer = [0; 16];
        let (length, from) = listener.recv_from(&mut buffer).expect("the last one");
        assert_eq!(&buffer[..length], b"own");
        assert_eq!(from.ip(), MACHINE);
        guests
    });
}

#[test]
fn privileged_sandboxes_do_not_reach_each_other() {
    with_guests(|guests| async move {
        let listen = r#"perl -e 'socket(L, 2, 1, 0); bind(L, pack("S n C4 x8", 2, 8080, 0, 0, 0, 0));
            listen(L, 5); $| = 1; print "up\n"; while (accept(C, L)) { print C "hello"; close C }'"#;
        let (server, mut running) = guests
            .sandboxes
            .host
            .spawn(guests.job(listen))
            .await
            .expect("a sandbox");
        assert_eq!(line(&mut running.stdout).await, "up");
        let address = server.network().expect("a network").address;
        let get = format!("exec 3<>/dev/tcp/{address}/8080 && cat <&3");
        let own = server
            .exec(crate::sandboxes::process(&["bash", "-c", &get]))
            .await
            .expect("exec");
        assert_eq!(finish(own).await.text(), "hello", "it is there");
        guests.refused(&[&format!("bash -c '{get}'")]).await;
        server.kill();
        server.gone().await;
        guests
    });
}

#[test]
fn privileged_without_network_there_is_loopback() {
    with_guests(|guests| async move {
        let mut job = guests.job(
            "cat /etc/resolv.conf; perl -ne 'print \"$1\\n\" if /^\\s*(\\w+):/' /proc/net/dev; \
             bash -c 'exec 3<>/dev/tcp/198.51.100.10/80' 2>&1; getent hosts example.test; echo $?",
        );
        job.network = false;
        let text = guests.sandboxes.run(job).await.expect("a run").text();
        assert!(text.starts_with("# no name server\n"), "{text}");
        assert!(text.contains("lo\n") && !text.contains("eth0"), "{text}");
        assert!(text.contains("Network is unreachable"), "{text}");
        assert!(text.ends_with("2\n"), "{text}");
        guests
    });
}
