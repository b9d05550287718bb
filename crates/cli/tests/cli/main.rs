//! The command as users meet it: the real binary, each time with a home of its own, against a
//! small server that keeps to the contract.

#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot go on should say where"
)]

mod compat;
mod completions;
mod export;
mod fake;
mod fake_image;
mod files;
mod guides;
mod home;
mod images;
mod inspect;
mod manual;
mod mistakes;
mod network;
mod operations;
mod profiles;
mod real;
mod runs;
mod sessions;
mod skills;
mod streams;

/// Ctrl-C, as a terminal sends it.
fn interrupt(child: &std::process::Child) {
    let pid = rustix::process::Pid::from_child(child);
    rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
}
