//! Tars with any content, right or wrong.

use tar::{Builder, EntryType, Header};

/// A tar being written. Every entry belongs to 0:0 with mode 0755 and time 1,000,000,000 unless
/// changed.
pub(crate) struct Tar(Builder<Vec<u8>>);

/// An entry before it is written.
#[derive(Clone)]
pub(crate) struct Item {
    header: Header,
    data: Vec<u8>,
    pax: Vec<(String, Vec<u8>)>,
}

impl Item {
    pub(crate) fn new(name: &[u8], kind: EntryType) -> Self {
        let mut header = Header::new_gnu();
        header.as_gnu_mut().unwrap().name[..name.len()].copy_from_slice(name);
        header.set_entry_type(kind);
        header.set_mode(0o755);
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(1_000_000_000);
        header.set_size(0);
        Self {
            header,
            data: Vec::new(),
            pax: Vec::new(),
        }
    }

    pub(crate) fn link_to(mut self, target: &[u8]) -> Self {
        if target.len() > 100 {
            return self.pax("linkpath", target);
        }
        self.header.as_gnu_mut().unwrap().linkname[..target.len()].copy_from_slice(target);
        self
    }

    pub(crate) fn data(mut self, data: &[u8]) -> Self {
        self.header.set_size(data.len() as u64);
        self.data = data.to_vec();
        self
    }

    /// A size that is not that of the data.
    pub(crate) fn claimed_size(mut self, size: u64) -> Self {
        self.header.set_size(size);
        self
    }

    pub(crate) fn mode(mut self, mode: u32) -> Self {
        self.header.set_mode(mode);
        self
    }

    pub(crate) fn owner(mut self, uid: u64, gid: u64) -> Self {
        self.header.set_uid(uid);
        self.header.set_gid(gid);
        self
    }

    pub(crate) fn mtime(mut self, mtime: u64) -> Self {
        self.header.set_mtime(mtime);
        self
    }

    pub(crate) fn pax(mut self, key: &str, value: &[u8]) -> Self {
        self.pax.push((key.into(), value.to_vec()));
        self
    }
}

impl Tar {
    pub(crate) fn new() -> Self {
        Self(Builder::new(Vec::new()))
    }

    pub(crate) fn add(mut self, item: Item) -> Self {
        if !item.pax.is_empty() {
            let records = item
                .pax
                .iter()
                .map(|(key, value)| (key.as_str(), value.as_slice()));
            self.0.append_pax_extensions(records).unwrap();
        }
        let mut header = item.header;
        header.set_cksum();
        self.0.append(&header, &item.data[..]).unwrap();
        self
    }

    pub(crate) fn file(self, name: &str, content: &[u8]) -> Self {
        self.add(file(name).data(content))
    }

    pub(crate) fn folder(self, name: &str) -> Self {
        self.add(folder(name))
    }

    pub(crate) fn symlink(self, name: &str, target: &str) -> Self {
        self.add(symlink(name, target))
    }

    pub(crate) fn hard_link(self, name: &str, target: &str) -> Self {
        self.add(hard_link(name, target))
    }

    pub(crate) fn whiteout(self, name: &str) -> Self {
        self.add(file(name))
    }

    pub(crate) fn bytes(self) -> Vec<u8> {
        self.0.into_inner().unwrap()
    }

    /// Without the zeros that end a tar.
    pub(crate) fn unfinished(self) -> Vec<u8> {
        let mut bytes = self.bytes();
        bytes.truncate(bytes.len() - 1_024);
        bytes
    }
}

pub(crate) fn file(name: &str) -> Item {
    Item::new(name.as_bytes(), EntryType::Regular)
}

pub(crate) fn folder(name: &str) -> Item {
    Item::new(name.as_bytes(), EntryType::Directory)
}

pub(crate) fn symlink(name: &str, target: &str) -> Item {
    Item::new(name.as_bytes(), EntryType::Symlink).link_to(target.as_bytes())
}

pub(crate) fn hard_link(name: &str, target: &str) -> Item {
    Item::new(name.as_bytes(), EntryType::Link).link_to(target.as_bytes())
}

pub(crate) fn gzip(bytes: &[u8]) -> Vec<u8> {
    use std::io::Write;
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

pub(crate) fn zstd(bytes: &[u8]) -> Vec<u8> {
    zstd::encode_all(bytes, 3).unwrap()
}
