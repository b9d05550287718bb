//! Becoming another program.

use std::ffi::{CString, NulError};
use std::io;
use std::os::raw::c_char;

/// A vector of strings as `execve` wants it.
#[derive(Debug)]
pub(crate) struct StringVector {
    strings: Vec<CString>,
    /// Into `strings`, with a null at the end.
    pointers: Vec<*const c_char>,
}

impl StringVector {
    /// Fails when a string has a NUL inside.
    pub(crate) fn new(strings: Vec<Vec<u8>>) -> Result<Self, NulError> {
        let strings = strings
            .into_iter()
            .map(CString::new)
            .collect::<Result<Vec<_>, _>>()?;
        let pointers = strings
            .iter()
            .map(|s| s.as_ptr())
            .chain([std::ptr::null()])
            .collect::<Vec<_>>();
        Ok(Self { strings, pointers })
    }
}

/// Replaces this program. Comes back only to say why not.
pub(crate) fn exec(program: &CString, argv: &StringVector, env: &StringVector) -> io::Error {
    debug_assert_eq!(argv.strings.len() + 1, argv.pointers.len());
    // SAFETY: all strings end in NUL and outlive the call, both vectors end in null.
    unsafe {
        libc::execve(
            program.as_ptr(),
            argv.pointers.as_ptr(),
            env.pointers.as_ptr(),
        )
    };
    io::Error::last_os_error()
}
