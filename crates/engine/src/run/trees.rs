//! Trees for a sandbox that puts them in place: their sources found and held, then read and fed
//! to its first process.
//!
//! Reading and feeding block, on a thread of their own for as long as the run goes on. It ends
//! when all is handed over, when the process ends (its pipe breaks), and, should it be busy with
//! bytes that lead to nothing, when the run says that it is over. What a source lacks is for the
//! process to say, like all else that goes wrong in a run: it goes to its error output.

use std::fs::File;
use std::io;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use contree_api::FileId;
use contree_api::image::ImageRef;
use contree_api::instance::{CopySource, InstanceSpawnRequest, TreeCopy};
use contree_images::{PathError, Piece, TreeError, TreeKind, View};
use contree_sandbox::{EntryKind, StdinPipe, Target, TreeEntry, TreeWriter, What};

use super::StartError;
use crate::engine::Engine;
use crate::layers::{Ground, GroundError};
use crate::operation::live::Live;
use crate::validate;

/// Bytes that are to be on their way to the process: as many as a pipe may hold by the kernel's
/// usual setting.
const PIPE: usize = 1 << 20;

/// The trees of one run, in order.
#[derive(Debug)]
pub(super) struct Trees(Vec<Tree>);

/// A tree whose source stays where it is for as long as this does.
#[derive(Debug)]
struct Tree {
    copy: TreeCopy,
    source: Source,
}

#[derive(Debug)]
enum Source {
    Image {
        view: View,
        paths: Vec<String>,
        _ground: Ground,
    },
    Archive(File, FileId),
}

/// Why there is no more to feed.
enum Stop {
    /// The process is gone.
    Gone,
    /// The process is to say this.
    Fail(String),
}

/// What a source is read with.
type Out = TreeWriter<File>;

impl Engine {
    /// Finds what a run is to put in place.
    pub(super) async fn open_trees(
        &self,
        live: &Live,
        request: &InstanceSpawnRequest,
    ) -> Result<Trees, StartError> {
        let mut trees = Vec::with_capacity(request.copy.len());
        for copy in &request.copy {
            let source = match &copy.source {
                CopySource::Image { image, paths } => {
                    // Resolved when the run was accepted; only a removed image is not found.
                    let ImageRef::Id(id) = image else {
                        return Err(GroundError::Vanished.into());
                    };
                    let image = self.image_ground(live.project, *id).await;
                    let image = image.ok().flatten().ok_or(GroundError::Vanished)?;
                    let ground = self.grounds().stand_on(image.layer).await?;
                    Source::Image {
                        view: self.store().view(&ground.folders()),
                        paths: paths.clone(),
                        _ground: ground,
                    }
                }
                CopySource::Archive { archive } => {
                    let (file, _) = self.store().open_file(*archive)?;
                    Source::Archive(file, *archive)
                }
            };
            trees.push(Tree {
                copy: copy.clone(),
                source,
            });
        }
        Ok(Trees(trees))
    }
}

impl Trees {
    /// Hands all of them to the process behind `pipe`, on this thread.
    pub(super) fn feed(self, pipe: StdinPipe, over: &Arc<AtomicBool>) {
        let pipe = match pipe.into_blocking_fd() {
            Ok(pipe) => pipe,
            Err(error) => {
                // The process finds that its input ended too early, and says so.
                tracing::error!(%error, "a process could not be fed");
                return;
            }
        };
        // More at a time is faster, and no more than that.
        let _ = rustix::pipe::fcntl_setpipe_size(&pipe, PIPE);
        let mut out = TreeWriter::new(File::from(pipe));
        for tree in self.0 {
            match tree.feed(&mut out, over) {
                Ok(()) => {}
                Err(Stop::Gone) => return,
                Err(Stop::Fail(why)) => {
                    // The process may have ended meanwhile, by itself or killed.
                    let _ = out.fail(&why);
                    return;
                }
            }
        }
        let _ = out.end();
    }
}

impl Tree {
    fn feed(self, out: &mut Out, over: &Arc<AtomicBool>) -> Result<(), Stop> {
        let copy = &self.copy;
        match self.source {
            Source::Archive(file, id) => {
                send(out.target(&target(copy, What::Entries)))?;
                let mut take = |piece: Piece<'_>| hand_over(out, copy, piece, None);
                contree_images::read_archive(file, over, &mut take).map_err(|error| {
                    unread(&error, |why| format!("the archive {id} is broken: {why}"))
                })
            }
            Source::Image { view, paths, .. } => {
                let single = paths.len() == 1;
                if !single {
                    send(out.target(&target(copy, What::Entries)))?;
                }
                for path in paths {
                    let tree = view.tree(&path).map_err(|error| not_there(&path, error))?;
                    let name = tree.is_file().then(|| last_name(&path));
                    if single {
                        let what = match name {
                            Some(name) => What::File(name.into()),
                            None => What::Entries,
                        };
                        send(out.target(&target(copy, what)))?;
                    }
                    let mut take = |piece: Piece<'_>| match &piece {
                        // Whose folder would it be, of several?
                        Piece::Entry(entry)
                            if !single
                                && entry.path.is_empty()
                                && entry.kind == TreeKind::Folder =>
                        {
                            Ok(())
                        }
                        _ => hand_over(out, copy, piece, name),
                    };
                    tree.read(&mut take).map_err(|error| {
                        unread(&error, |why| format!("{path} could not be copied: {why}"))
                    })?;
                }
                Ok(())
            }
        }
    }
}

/// Where a tree goes.
fn target(copy: &TreeCopy, what: What) -> Target {
    let mut to = copy.to.clone().into_bytes();
    if to.ends_with(b"/.") {
        to.push(b'/');
    }
    Target {
        to,
        what,
        uid: copy.uid.unwrap_or(0),
        gid: copy.gid.unwrap_or(0),
    }
}

/// Sends a piece, with the owner and mode that were asked for; `name` is that of a lone file.
fn hand_over(
    out: &mut Out,
    copy: &TreeCopy,
    piece: Piece<'_>,
    name: Option<&str>,
) -> io::Result<()> {
    let entry = match piece {
        Piece::Data(offset, bytes) => return out.data(offset, bytes),
        Piece::Entry(entry) => entry,
    };
    let kind = match entry.kind {
        TreeKind::File(size) => EntryKind::File(size),
        TreeKind::Folder => EntryKind::Folder,
        TreeKind::Symlink(target) => EntryKind::Symlink(target),
        TreeKind::HardLink(target) => EntryKind::HardLink(target),
        TreeKind::Fifo => EntryKind::Fifo,
        TreeKind::Device => EntryKind::Device,
    };
    let asked = match kind {
        // Checked when the run was accepted.
        EntryKind::File(_) | EntryKind::Folder if copy.mode.is_some() => {
            validate::mode(copy.mode.as_deref())
        }
        _ => None,
    };
    out.entry(&TreeEntry {
        path: match name {
            Some(name) => name.as_bytes().into(),
            None => entry.path,
        },
        kind,
        uid: copy.uid.unwrap_or(entry.uid),
        gid: copy.gid.unwrap_or(entry.gid),
        mode: asked.unwrap_or(entry.mode),
        mtime: entry.mtime,
        xattrs: entry.xattrs.into(),
    })
}

/// The name that a file goes by: the last of the path, whatever links that leads through.
fn last_name(path: &str) -> &str {
    let mut names = path.rsplit('/').filter(|name| !matches!(*name, "" | "."));
    names.next().unwrap_or_default()
}

fn send(sent: io::Result<()>) -> Result<(), Stop> {
    sent.map_err(|error| unread(&TreeError::Taker(error), str::to_owned))
}

/// A path that cannot be copied.
fn not_there(path: &str, error: PathError) -> Stop {
    Stop::Fail(match error {
        PathError::NotFound { .. } | PathError::BeneathNoFolder { .. } => {
            format!("{path}: no such file or folder in the image")
        }
        error @ (PathError::Store(_) | PathError::Read { .. }) => {
            let error = crate::error::chain(&error);
            tracing::error!(error, "an image could not be copied from");
            format!("{path}: the image could not be read")
        }
        error => error.to_string(),
    })
}

/// A tree that was not read to its end.
fn unread(error: &TreeError, say: impl FnOnce(&str) -> String) -> Stop {
    match error {
        TreeError::Taker(error) if error.kind() == io::ErrorKind::BrokenPipe => Stop::Gone,
        error => Stop::Fail(say(&crate::error::chain(error))),
    }
}
