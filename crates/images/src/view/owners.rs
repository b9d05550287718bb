//! Names of users and groups, as the image itself has them.

use std::collections::HashMap;
use std::io::Read;

use contree_api::inspect::Owner;
use rustix::fs::FileType;
use rustix::io::Errno;

use super::Refused;
use super::resolve::{LastLink, Target, resolve};
use crate::cursor::open_regular;
use crate::stack::Stack;

/// What is read of each file. A Debian system has 1 KiB.
const MAX_BYTES: u64 = 1 << 20;

/// By number. Where a number has several names the first counts, as in the C library.
#[derive(Debug, Default)]
pub(super) struct Owners {
    users: HashMap<u32, String>,
    groups: HashMap<u32, String>,
}

impl Owners {
    /// Reads the image's files. One that is missing, or no regular file, names nobody.
    pub(super) fn read(stack: &mut Stack) -> Result<Self, Errno> {
        Ok(Self {
            users: parse(&read(stack, b"/etc/passwd")?),
            groups: parse(&read(stack, b"/etc/group")?),
        })
    }

    pub(super) fn user(&self, id: u32) -> Owner {
        self.users
            .get(&id)
            .map_or(Owner::Id(id), |name| Owner::Name(name.clone()))
    }

    pub(super) fn group(&self, id: u32) -> Owner {
        self.groups
            .get(&id)
            .map_or(Owner::Id(id), |name| Owner::Name(name.clone()))
    }
}

fn read(stack: &mut Stack, path: &[u8]) -> Result<Vec<u8>, Errno> {
    let entry = match resolve(stack, path, LastLink::Follow) {
        Ok(Target::Entry(entry))
            if FileType::from_raw_mode(entry.facts.st_mode) == FileType::RegularFile =>
        {
            entry
        }
        Err(Refused::Kernel(error)) => return Err(error),
        Ok(_) | Err(_) => return Ok(Vec::new()),
    };
    let mut content = Vec::new();
    open_regular(stack.part(entry.layer), &entry.name)?
        .take(MAX_BYTES)
        .read_to_end(&mut content)
        .map_err(|error| Errno::from_io_error(&error).unwrap_or(Errno::IO))?;
    Ok(content)
}

/// Both files have lines of `name:password:number:…`.
fn parse(content: &[u8]) -> HashMap<u32, String> {
    let mut names = HashMap::new();
    for line in content.split(|&b| b == b'\n') {
        let mut fields = line.split(|&b| b == b':');
        let (Some(name), Some(_), Some(id)) = (fields.next(), fields.next(), fields.next()) else {
            continue;
        };
        if name.is_empty() {
            continue;
        }
        if let Some(id) = std::str::from_utf8(id).ok().and_then(|id| id.parse().ok()) {
            names
                .entry(id)
                .or_insert_with(|| String::from_utf8_lossy(name).into_owned());
        }
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_that_name_somebody() {
        let names = parse(
            b"root:x:0:0:root:/root:/bin/bash\ntoor:x:0:0::/:\n\nbroken\n:x:5:\nn:x:-1:\n\
              big:x:4294967295:1\nover:x:4294967296:1\nb\xffd:x:7:7\n+::::::\nlast:x:9:9",
        );
        let mut names: Vec<_> = names.into_iter().collect();
        names.sort();
        let expected = [
            (0, "root"),
            (7, "b\u{fffd}d"),
            (9, "last"),
            (u32::MAX, "big"),
        ];
        assert_eq!(names, expected.map(|(id, name)| (id, name.to_owned())));
    }
}
