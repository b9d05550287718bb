//! What each thread of a search does: take files, search them, tell what was found.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::vec;

use contree_api::inspect::GrepQuery;
use grep_regex::RegexMatcher;
use grep_searcher::{BinaryDetection, Searcher, SearcherBuilder};
use ignore::overrides::Override;
use rustix::fs::FileType;
use rustix::io::Errno;

use super::Stop;
use super::gather::{Found, Gather};
use super::rows::Rows;
use crate::cursor::open_regular;
use crate::view::{PathError, Refused, Start, View};
use crate::walk::{Step, Walk};

/// Files taken at a time. Most are small, and taking them one by one would cost more than reading.
const BATCH: usize = 16;
/// Bytes of paths that are enough for a batch: folders may be so deep that a path has megabytes.
const BATCH_PATHS: usize = 256 * 1024;

/// A file to search.
struct Item {
    number: u64,
    path: String,
    file: File,
}

/// Hands out the files of all roots in order.
pub(super) struct Feed<'a> {
    view: &'a View,
    roots: vec::IntoIter<String>,
    globs: &'a Override,
    at: Option<Root>,
    next: u64,
}

/// A folder that is being searched.
struct Root {
    /// What paths of files start with; ends in a slash.
    prefix: Vec<u8>,
    walk: Walk,
}

/// What a thread is to do next.
enum Work {
    Items(Vec<Item>),
    /// There are more files, but it is time to stop. With the number of the first of them.
    Stop(u64),
    Nothing,
}

impl<'a> Feed<'a> {
    pub(super) fn new(view: &'a View, roots: Vec<String>, globs: &'a Override) -> Self {
        Self {
            view,
            roots: roots.into_iter(),
            globs,
            at: None,
            next: 0,
        }
    }

    fn work(&mut self, stop: &Stop) -> Result<Work, PathError> {
        let mut items = Vec::new();
        let mut paths = 0;
        while items.len() < BATCH && paths < BATCH_PATHS {
            if stop.is_due() {
                let number = self.next;
                self.next += 1;
                // What was taken already is before it, and not searched.
                let first = items.first().map_or(number, |item: &Item| item.number);
                return Ok(Work::Stop(first));
            }
            let item = match &mut self.at {
                Some(root) => match root.next_file(self.globs) {
                    Ok(Some(item)) => Some(item),
                    Ok(None) => {
                        self.at = None;
                        continue;
                    }
                    Err(error) => {
                        let path = [&root.prefix[..], root.walk.path()].concat();
                        return Err(Refused::Kernel(error).of(&path));
                    }
                },
                None => match self.roots.next() {
                    Some(root) => self.begin(&root)?,
                    None => break,
                },
            };
            if let Some((path, file)) = item {
                paths += path.len();
                items.push(Item {
                    number: self.next,
                    path: String::from_utf8_lossy(&path).into_owned(),
                    file,
                });
                self.next += 1;
            }
        }
        Ok(if items.is_empty() {
            Work::Nothing
        } else {
            Work::Items(items)
        })
    }

    /// Begins with a root: gives it when it is a file, which no glob is asked about, as it was
    /// named.
    fn begin(&mut self, root: &str) -> Result<Option<(Vec<u8>, File)>, PathError> {
        let (start, mut path) = self.view.start(root.as_bytes())?;
        match start {
            Start::Folder(stack) => {
                if path != b"/" {
                    path.push(b'/');
                }
                self.at = Some(Root {
                    prefix: path,
                    walk: Walk::new(stack),
                });
                Ok(None)
            }
            Start::Entry(stack, entry) => {
                if FileType::from_raw_mode(entry.facts.st_mode) != FileType::RegularFile {
                    return Ok(None);
                }
                let file = open_regular(stack.part(entry.layer), &entry.name)
                    .map_err(|error| Refused::Kernel(error).of(root.as_bytes()))?;
                Ok(Some((path, file)))
            }
        }
    }
}

impl Root {
    fn next_file(&mut self, globs: &Override) -> Result<Option<(Vec<u8>, File)>, Errno> {
        while let Some(step) = self.walk.next()? {
            let mut path = self.prefix.clone();
            path.extend_from_slice(self.walk.path());
            match step {
                Step::Folder(_) => {
                    if is_ignored(globs, &path, true) {
                        self.walk.skip();
                    }
                }
                Step::Entry { name, layer, kind } => {
                    if kind != FileType::RegularFile {
                        continue;
                    }
                    if !self.walk.path().is_empty() {
                        path.push(b'/');
                    }
                    path.extend_from_slice(name.to_bytes());
                    if !is_ignored(globs, &path, false) {
                        let file = open_regular(self.walk.stack().part(layer), &name)?;
                        return Ok(Some((path, file)));
                    }
                }
            }
        }
        Ok(None)
    }
}

fn is_ignored(globs: &Override, path: &[u8], is_folder: bool) -> bool {
    let path = Path::new(std::ffi::OsStr::from_bytes(path));
    globs.matched(path, is_folder).is_ignore()
}

/// One thread.
pub(super) struct Worker<'a> {
    matcher: &'a RegexMatcher,
    searcher: Searcher,
    gather: &'a Gather<'a>,
    feed: &'a Mutex<Feed<'a>>,
}

impl<'a> Worker<'a> {
    pub(super) fn new(
        matcher: &'a RegexMatcher,
        max_line: usize,
        query: &GrepQuery,
        per_file: u64,
        gather: &'a Gather<'a>,
        feed: &'a Mutex<Feed<'a>>,
    ) -> Self {
        let searcher = SearcherBuilder::new()
            .line_number(true)
            .binary_detection(BinaryDetection::quit(0))
            .heap_limit(Some(max_line))
            .before_context(query.before as usize)
            .after_context(query.after as usize)
            .max_matches(Some(per_file))
            .build();
        Self {
            matcher,
            searcher,
            gather,
            feed,
        }
    }

    /// Works until there is no more to do.
    pub(super) fn run(mut self) {
        let _guard = Guard(self.gather);
        while self.gather.wait_for_room() {
            let work = self
                .feed
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .work(self.gather.stop());
            match work {
                Ok(Work::Items(items)) => {
                    for item in items {
                        let number = item.number;
                        match self.search(item) {
                            Ok(found) => {
                                if !self.gather.add(number, found) {
                                    return;
                                }
                            }
                            Err(failure) => return self.gather.fail(failure),
                        }
                    }
                }
                Ok(Work::Stop(number)) => {
                    self.gather.add(number, Found::stopped());
                    return;
                }
                Ok(Work::Nothing) => return,
                Err(failure) => return self.gather.fail(failure),
            }
        }
    }

    fn search(&mut self, item: Item) -> Result<Found, PathError> {
        let Item { path, file, .. } = item;
        let stop = self.gather.stop();
        let mut rows = Rows::new(self.matcher, self.gather.max_cost(), &path, stop);
        let watched = Watched { file, stop };
        let searched = self
            .searcher
            .search_reader(self.matcher, watched, &mut rows);
        let (is_full, is_binary) = (rows.is_full, rows.is_binary);
        let mut found = Found {
            rows: rows.rows,
            partial: is_full,
            last: false,
            path: String::new(),
        };
        match searched {
            Ok(()) if is_binary => found = Found::default(),
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::TimedOut => found.last = true,
            Err(error) => match Errno::from_io_error(&error) {
                Some(error) => return Err(Refused::Kernel(error).of(path.as_bytes())),
                // A line that is too long.
                None => found.partial = true,
            },
        }
        // What waits without rows is not counted, so it must cost nothing.
        if !found.rows.is_empty() {
            found.path = path;
        }
        Ok(found)
    }
}

/// A file whose reading ends when it is time.
struct Watched<'a> {
    file: File,
    stop: &'a Stop,
}

impl Read for Watched<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.stop.is_due() {
            return Err(io::ErrorKind::TimedOut.into());
        }
        self.file.read(buffer)
    }
}

/// Lets the other threads go when this one panics.
struct Guard<'a>(&'a Gather<'a>);

impl Drop for Guard<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.abandon();
        }
    }
}
