//! `COPY` and `ADD`.
//!
//! What is taken is first only measured: digests of files, the id of an image. They are in the
//! step's key, so nothing is sent when the step was carried out before. Otherwise files of the
//! context go to the server as one archive, and the server puts it in place; what comes from
//! another stage or image never leaves the server.

use std::io::Write;
use std::path::Path;
use std::sync::{Arc, PoisonError};

use contree_api::image::ImageRef;
use contree_api::instance::{AttachedFile, CopySource, InstanceSpawnRequest, TreeCopy};
use contree_api::{FileId, ImageId};
use contree_client::UploadStep;
use serde_json::{Value, json};

use super::archive::Archive;
use super::cache::Key;
use super::chmod::Chmod;
use super::context::{Placement, Selection};
use super::dockerfile::{Copy, Heredoc, Instruction, Source};
use super::job::Build;
use super::pattern::{Pattern, Stars, is_pattern};
use super::progress::StepId;
use super::remote::{self, Fetched};
use super::state::{Folder, State};
use super::users::{Accounts, numeric_owner};
use crate::failure::{Doing as _, Failure};
use crate::path::normalized;

/// Mode of files that have none of their own: heredocs and what comes from the web.
const MODE: u32 = 0o644;

/// What an instruction takes, measured.
#[derive(Debug, Default)]
struct Taken {
    selection: Option<Selection>,
    archives: Vec<Archive>,
    heredocs: Vec<Heredoc>,
    /// Of the web, and whether they are unpacked.
    fetched: Vec<(Fetched, bool)>,
    /// Paths of an image, wildcards and all.
    image: Option<(ImageId, Vec<String>)>,
    /// What it is known by: digests, in the order of the instruction.
    known_by: Vec<Value>,
}

/// Where it goes, and whose it will be.
#[derive(Debug)]
struct Target {
    /// Absolute, without a slash at its end.
    path: String,
    /// Whether it is a folder, whatever is there.
    is_folder: bool,
    owner: Option<(u32, u32)>,
    chmod: Option<Chmod>,
}

impl Build {
    /// Carries out a `COPY` or `ADD`, or finds what it made before. `from` is the image of `--from`.
    pub(super) async fn place(
        &self,
        state: &mut State,
        copy: &Copy,
        from: Option<ImageId>,
        instruction: &Instruction,
        step: StepId,
    ) -> Result<(), Failure> {
        self.board.start(step);
        let copy = state.scope.expand_copy(copy).map_err(Failure::new)?;
        let chmod = copy.chmod.as_deref().map(Chmod::read).transpose();
        let chmod = chmod.map_err(Failure::new)?;
        let taken = self.measure(&copy, from, step).await?;
        let what = json!({
            "copy": taken.known_by,
            "to": state.absolute(&copy.dest),
            "chown": copy.chown,
            "chmod": copy.chmod,
            "folders": state.folders_json(),
        });
        let key = Key::step(state.image, &what);
        if let Some(image) = self.cache.find(&key).await? {
            state.advance(image, key);
            self.board.cached(step);
            return Ok(());
        }
        let target = self.target_of(state, &copy, chmod).await?;
        let mut request = InstanceSpawnRequest::new("", ImageRef::Id(state.image));
        request.timeout = Some(self.timeout);
        request.copy = self.folder_copies(state).await?;
        self.fill(&mut request, taken, target, step).await?;
        let ended = self.operations.run(&request, &self.board, step).await?;
        let image = ended.placed(self.timeout)?;
        self.advance(state, key, image, &instruction.text, ended.id)
            .await?;
        self.board.done(step);
        Ok(())
    }

    /// Finds out what is taken, without sending anything but what comes from the web.
    async fn measure(
        &self,
        copy: &Copy,
        from: Option<ImageId>,
        step: StepId,
    ) -> Result<Taken, Failure> {
        let mut taken = Taken::default();
        let mut paths = Vec::new();
        let mut urls = Vec::new();
        for source in &copy.sources {
            match source {
                Source::Path(url) if copy.is_add && remote::is_url(url) => urls.push(url.as_str()),
                Source::Path(path) => paths.push(path.clone()),
                Source::Heredoc(doc) => {
                    taken
                        .known_by
                        .push(json!({ "name": doc.name, "text": doc.text }));
                    taken.heredocs.push(doc.clone());
                }
            }
        }
        for url in urls {
            let fetched = self.fetch(url, copy.checksum.as_deref(), step).await?;
            taken.known_by.push(json!({
                "url": fetched.sha256, "name": fetched.name, "unpack": copy.unpack,
            }));
            taken.fetched.push((fetched, copy.unpack == Some(true)));
        }
        if paths.is_empty() {
            return Ok(taken);
        }
        if let Some(image) = from {
            if copy.parents || !copy.exclude.is_empty() {
                return Err(
                    Failure::new("--parents and --exclude do not go together with --from")
                        .next("name the folders that are wanted, a COPY for each"),
                );
            }
            let paths: Vec<String> = paths.iter().map(|path| normalized(path)).collect();
            taken
                .known_by
                .push(json!({ "image": image, "paths": paths }));
            taken.image = Some((image, paths));
            return Ok(taken);
        }
        self.measure_files(taken, copy, paths).await
    }

    /// The files of the context. Reading them takes a while: a thread does it.
    async fn measure_files(
        &self,
        mut taken: Taken,
        copy: &Copy,
        paths: Vec<String>,
    ) -> Result<Taken, Failure> {
        let (files, hashes) = (Arc::clone(&self.files), self.cache.hashes());
        let (exclude, parents) = (copy.exclude.clone(), copy.parents);
        let unpacks = copy.is_add && copy.unpack != Some(false);
        let measuring = tokio::task::spawn_blocking(move || {
            let mut selection = files.select(&paths, &exclude, parents)?;
            let mut hashes = hashes.lock().unwrap_or_else(PoisonError::into_inner);
            let archives = if unpacks {
                selection.take_archives()?
            } else {
                Vec::new()
            };
            let mut known_by = Vec::new();
            for archive in &archives {
                known_by.push(json!({ "archive": archive.digest(&mut hashes)? }));
            }
            let selection = (archives.is_empty() || !selection.is_empty()).then_some(selection);
            if let Some(selection) = &selection {
                let name = selection.single_file();
                let name = name.map(|name| name.to_string_lossy().into_owned());
                known_by.push(json!({ "files": selection.digest(&mut hashes)?, "name": name }));
            }
            Ok::<_, Failure>((selection, archives, known_by))
        });
        let measured = measuring.await.map_err(|error| {
            Failure::new("could not look at the files to be copied").because(&error)
        })?;
        let (selection, archives, known_by) = measured?;
        for warning in selection.iter().flat_map(Selection::warnings) {
            self.board.warn(warning);
        }
        taken.selection = selection;
        taken.archives = archives;
        taken.known_by.extend(known_by);
        Ok(taken)
    }

    /// Brings a file of the web to the server, unless it is there.
    async fn fetch(
        &self,
        url: &str,
        checksum: Option<&str>,
        step: StepId,
    ) -> Result<Fetched, Failure> {
        let (sender, mut steps) = tokio::sync::watch::channel(None);
        // A connection of its own: others do not wait for the download.
        let mut store = self.cache.another_store().await?;
        let mut fetching = std::pin::pin!(remote::fetch(
            &self.client,
            &mut store,
            url,
            checksum,
            move |step| {
                sender.send_replace(Some(step));
            }
        ));
        self.board.status(step, &format!("fetching {url}"), false);
        loop {
            tokio::select! {
                fetched = &mut fetching => return fetched,
                Ok(()) = steps.changed() => {
                    let now = *steps.borrow_and_update();
                    if let Some(now) = now {
                        let of = now.total.map(|total| format!(" of {}", amount(total)));
                        let text = format!("fetching {url}: {}{}", amount(now.done), of.unwrap_or_default());
                        self.board.status(step, &text, false);
                    }
                }
            }
        }
    }

    /// Where it goes. What only the image can tell is asked of it.
    async fn target_of(
        &self,
        state: &State,
        copy: &Copy,
        chmod: Option<Chmod>,
    ) -> Result<Target, Failure> {
        let owner = match copy.chown.as_deref() {
            None => None,
            Some(spec) => match numeric_owner(spec) {
                Some(owner) => Some(owner),
                None => {
                    let accounts = self.accounts(state.image).await?;
                    Some(accounts.owner(spec)?)
                }
            },
        };
        let path = state.absolute(&copy.dest);
        let last = path.rsplit('/').next().unwrap_or_default();
        let path_is_folder = matches!(last, "" | "." | "..");
        let path = normalized(&path);
        let is_folder = path_is_folder
            || copy.sources.len() > 1
            || path == "/"
            || path == state.workdir
            || self.is_folder(state.image, &path).await?;
        Ok(Target {
            path,
            is_folder,
            owner,
            chmod,
        })
    }

    /// Whether an image has a folder there.
    async fn is_folder(&self, image: ImageId, path: &str) -> Result<bool, Failure> {
        match self.client.list_directory(image, path).await {
            Ok(_) => Ok(true),
            Err(error) if matches!(error.status(), Some(404 | 422)) => Ok(false),
            Err(error) => Err(error).doing(|| format!("could not look at {path}")),
        }
    }

    /// Sends what the server does not have yet, and says in the request what is to be done with it.
    async fn fill(
        &self,
        request: &mut InstanceSpawnRequest,
        taken: Taken,
        target: Target,
        step: StepId,
    ) -> Result<(), Failure> {
        if let Some((image, patterns)) = taken.image {
            let paths = self.expand(image, &patterns).await?;
            let is_folder = target.is_folder || paths.len() > 1;
            let source = CopySource::Image {
                image: ImageRef::Id(image),
                paths,
            };
            request.copy.push(target.tree(source, is_folder)?);
        }
        if let Some(selection) = taken.selection {
            let mut placement = Placement {
                name: None,
                chmod: target.chmod.clone(),
            };
            let mut place = Target {
                path: target.path.clone(),
                is_folder: true,
                owner: target.owner,
                chmod: None,
            };
            if selection.single_file().is_some() && !target.is_folder {
                let (folder, name) = target.path.rsplit_once('/').unwrap_or_default();
                placement.name = Some(name.into());
                folder.clone_into(&mut place.path);
            }
            let tar = written(move |out| selection.write_tar(out, &placement)).await?;
            let archive = self.upload(tar.path(), step).await?;
            let source = CopySource::Archive { archive };
            request.copy.push(place.tree(source, true)?);
        }
        for archive in taken.archives {
            let uploaded = if archive.is_readable {
                self.upload(&archive.path, step).await?
            } else {
                let tar = written(move |out| archive.write_recoded(out)).await?;
                self.upload(tar.path(), step).await?
            };
            let source = CopySource::Archive { archive: uploaded };
            request.copy.push(target.tree(source, true)?);
        }
        for doc in taken.heredocs {
            let uploaded = self.client.upload_bytes(doc.text.into_bytes().into()).await;
            let uuid = uploaded
                .doing(|| format!("could not upload {}", doc.name))?
                .uuid;
            request
                .files
                .insert(target.file(&doc.name), target.attached(uuid));
        }
        for (fetched, is_unpacked) in taken.fetched {
            if is_unpacked {
                let source = CopySource::Archive {
                    archive: fetched.uuid,
                };
                request.copy.push(target.tree(source, true)?);
                continue;
            }
            let name = match &fetched.name {
                Some(name) => name,
                None if !target.is_folder => "",
                None => {
                    return Err(Failure::new("the URL ends in no name of a file")
                        .next("name the file at the end of the line: ADD URL /path/to/file"));
                }
            };
            let (path, file) = (target.file(name), target.attached(fetched.uuid));
            request.files.insert(path, file);
        }
        Ok(())
    }

    /// The paths that wildcards stand for in an image.
    async fn expand(&self, image: ImageId, patterns: &[String]) -> Result<Vec<String>, Failure> {
        let mut paths = Vec::new();
        if patterns.iter().any(|pattern| is_pattern(pattern)) {
            self.operations.assure(image).await?;
        }
        for pattern in patterns {
            let mut found = vec![String::new()];
            for part in pattern.split('/').filter(|part| !part.is_empty()) {
                if !is_pattern(part) {
                    for path in &mut found {
                        path.push('/');
                        path.push_str(part);
                    }
                    continue;
                }
                let part = Pattern::read(part, Stars::OneName).map_err(Failure::new)?;
                let mut below = Vec::new();
                for folder in found {
                    let names = self.names(image, &folder).await?;
                    let matching = names.iter().filter(|name| part.matches(name.as_bytes()));
                    below.extend(matching.map(|name| format!("{folder}/{name}")));
                }
                found = below;
            }
            if found.is_empty() {
                return Err(Failure::new(format!(
                    "{pattern}: nothing in the image matches"
                )));
            }
            // The root itself has no name.
            paths.extend(found.into_iter().map(|path| match path.as_str() {
                "" => "/".to_owned(),
                _ => path,
            }));
        }
        Ok(paths)
    }

    /// What is in a folder of an image; nothing where there is none.
    async fn names(&self, image: ImageId, folder: &str) -> Result<Vec<String>, Failure> {
        let path = if folder.is_empty() { "/" } else { folder };
        match self.client.list_directory(image, path).await {
            Ok(list) => Ok(list.files.into_iter().map(|file| file.path).collect()),
            Err(error) if matches!(error.status(), Some(404 | 422)) => Ok(Vec::new()),
            Err(error) => Err(error).doing(|| format!("could not look at {path}")),
        }
    }

    /// Makes sure that the server has a file.
    async fn upload(&self, path: &Path, step: StepId) -> Result<FileId, Failure> {
        let (sender, mut steps) = tokio::sync::watch::channel(None);
        let mut uploading = std::pin::pin!(self.client.ensure_file(path, move |step| {
            sender.send_replace(Some(step));
        }));
        loop {
            tokio::select! {
                uploaded = &mut uploading => {
                    let uploaded = uploaded.doing(|| "could not upload what is copied".to_owned())?;
                    return Ok(uploaded.file.uuid);
                }
                Ok(()) = steps.changed() => {
                    let now = *steps.borrow_and_update();
                    if let Some(UploadStep::Sending { done, total }) = now {
                        let text = format!("uploading: {} of {}", amount(done), amount(total));
                        self.board.status(step, &text, false);
                    }
                }
            }
        }
    }

    /// Says in a request that the folders of `WORKDIR` are to be made: each as a place for an
    /// archive of nothing, for places are made when they are missing and left alone when not.
    pub(super) async fn folder_copies(&self, state: &State) -> Result<Vec<TreeCopy>, Failure> {
        if state.folders.is_empty() {
            return Ok(Vec::new());
        }
        let failed = || "could not make the folder of WORKDIR".to_owned();
        let nothing = self.client.upload_bytes(vec![0; 1_024].into()).await;
        let archive = nothing.doing(failed)?.uuid;
        let is_named = |folder: &Folder| {
            let user = folder.user.as_deref();
            user.is_some_and(|user| user != "root")
        };
        let accounts = if state.folders.iter().any(is_named) {
            self.accounts(state.image).await?
        } else {
            Accounts::default()
        };
        let mut copies = Vec::new();
        for folder in &state.folders {
            let (uid, gid) = match folder.user.as_deref() {
                None | Some("root") => (0, 0),
                Some(user) => {
                    let user = accounts.user(user)?;
                    (user.uid, user.gid)
                }
            };
            copies.push(TreeCopy {
                source: CopySource::Archive { archive },
                to: format!("{}/", folder.path),
                uid: Some(uid),
                gid: Some(gid),
                mode: None,
            });
        }
        Ok(copies)
    }

    /// Makes the folders of `WORKDIR` at once; the image that has them.
    pub(super) async fn make_folders(
        &self,
        state: &State,
        step: StepId,
    ) -> Result<ImageId, Failure> {
        let mut request = InstanceSpawnRequest::new("", ImageRef::Id(state.image));
        request.timeout = Some(self.timeout);
        request.copy = self.folder_copies(state).await?;
        let ended = self.operations.run(&request, &self.board, step).await?;
        ended.placed(self.timeout)
    }
}

impl Target {
    /// A tree that goes there.
    fn tree(&self, source: CopySource, is_folder: bool) -> Result<TreeCopy, Failure> {
        let path = self.path.trim_end_matches('/');
        let mode = match &self.chmod {
            None => None,
            Some(Chmod::Octal(mode)) => Some(format!("{mode:04o}")),
            Some(Chmod::Letters(_)) => {
                return Err(Failure::new(
                    "--chmod in letters is for files of the context; these are not seen here",
                )
                .next("--chmod=755, or a RUN chmod afterwards"));
            }
        };
        Ok(TreeCopy {
            source,
            to: match is_folder {
                true => format!("{path}/"),
                false => path.to_owned(),
            },
            uid: self.owner.map(|(uid, _)| uid),
            gid: self.owner.map(|(_, gid)| gid),
            mode,
        })
    }

    /// The path of a file of this name.
    fn file(&self, name: &str) -> String {
        if self.is_folder {
            format!("{}/{name}", self.path.trim_end_matches('/'))
        } else {
            self.path.clone()
        }
    }

    fn attached(&self, uuid: FileId) -> AttachedFile {
        let (uid, gid) = self.owner.unwrap_or_default();
        let chmod = self.chmod.as_ref();
        let mode = chmod.map_or(MODE, |chmod| chmod.apply(MODE, false));
        AttachedFile {
            uuid,
            uid,
            gid,
            mode: Some(format!("{mode:04o}")),
        }
    }
}

/// A file with what `write` writes. A thread does it.
async fn written(
    write: impl FnOnce(&mut dyn Write) -> Result<(), Failure> + Send + 'static,
) -> Result<tempfile::NamedTempFile, Failure> {
    let failed = || "could not write an archive of what is copied".to_owned();
    let writing = tokio::task::spawn_blocking(move || {
        let file = tempfile::NamedTempFile::with_prefix("contree-build-").doing(failed)?;
        let mut out = std::io::BufWriter::with_capacity(256 * 1_024, file);
        write(&mut out)?;
        let written = out
            .into_inner()
            .map_err(std::io::IntoInnerError::into_error);
        written.doing(failed)
    });
    writing
        .await
        .map_err(|error| Failure::new(failed()).because(&error))?
}

/// Bytes for people.
fn amount(bytes: u64) -> String {
    let mut unit = 0;
    let mut tenths = u128::from(bytes) * 10;
    const UNITS: [&str; 4] = ["B", "KiB", "MiB", "GiB"];
    while tenths >= 10_240 && unit + 1 < UNITS.len() {
        tenths /= 1_024;
        unit += 1;
    }
    format!("{}.{} {}", tenths / 10, tenths % 10, UNITS[unit])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_keeps_names_and_a_file_gives_one() {
        let target = |is_folder| Target {
            path: "/srv/x".to_owned(),
            is_folder,
            owner: Some((1, 2)),
            chmod: None,
        };
        assert_eq!(target(true).file("a"), "/srv/x/a");
        assert_eq!(target(false).file("a"), "/srv/x");
        let image = || CopySource::Image {
            image: ImageRef::Id(ImageId::new()),
            paths: vec!["/a".to_owned()],
        };
        assert_eq!(target(true).tree(image(), true).unwrap().to, "/srv/x/");
        assert_eq!(target(false).tree(image(), false).unwrap().to, "/srv/x");
    }
}
