//! Installing a seccomp filter with privilege.

use std::io;

/// One instruction of classic BPF, as the kernel wants it.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Instruction {
    pub(crate) code: u16,
    pub(crate) jump_true: u8,
    pub(crate) jump_false: u8,
    pub(crate) operand: u32,
}

#[repr(C)]
struct Program {
    length: u16,
    instructions: *const Instruction,
}

/// Puts `filter` on this process and all that it will ever make.
///
/// Needs CAP_SYS_ADMIN in the process's user namespace, because "no new privileges" is *not*
/// set: with it set, setuid programs such as sudo would not work.
pub(crate) fn install(filter: &[Instruction]) -> io::Result<()> {
    let length = u16::try_from(filter.len()).map_err(io::Error::other)?;
    let program = Program {
        length,
        instructions: filter.as_ptr(),
    };
    // SAFETY: `program` points to `length` instructions, both alive for the call; the kernel
    // checks the program.
    let result = unsafe {
        libc::syscall(
            libc::SYS_seccomp,
            libc::SECCOMP_SET_MODE_FILTER,
            0,
            std::ptr::from_ref(&program),
        )
    };
    if result == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}
