//! Questions to whoever gave the command. They go to standard error, as standard output may be a
//! pipe; the answer is a line from a terminal or a pipe.

use std::io::{BufRead as _, Write as _};

use crate::failure::{Doing as _, Failure};

/// The answer without blanks around it; none when the input has ended.
pub(crate) fn ask(question: &str) -> Result<Option<String>, Failure> {
    write!(std::io::stderr(), "{question}")?;
    let mut answer = String::new();
    let read = std::io::stdin().lock().read_line(&mut answer);
    if read.doing(|| "could not read the answer".to_owned())? == 0 {
        writeln!(std::io::stderr())?;
        return Ok(None);
    }
    Ok(Some(answer.trim().to_owned()))
}

/// Yes or no, asked until it is one of them; no answer is a no.
pub(crate) fn confirm(question: &str) -> Result<bool, Failure> {
    loop {
        match ask(&format!("{question} [y/N] "))?.as_deref() {
            Some("y" | "Y" | "yes") => return Ok(true),
            None | Some("" | "n" | "N" | "no") => return Ok(false),
            Some(_) => writeln!(std::io::stderr(), "Please answer y or n.")?,
        }
    }
}
