//! A line of images, each made by a run from the one before.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::image::{ImageName, Name};
use crate::{Contree, Error, Image, RunBuilder};

/// A line of images whose last one, the tip, is what the next run starts from. It lives in this
/// program only; the server knows nothing of it.
///
/// A run moves the tip to its image when it has been waited for and its exit code is 0. A run that
/// failed, that was disposable, or whose session has moved on since it began, moves nothing; its
/// image is still in its [`Outcome`](crate::Outcome), for [`Session::move_to`]. Clones are the same
/// session; [`Session::branch`] makes another one.
///
/// ```
/// # contree_e2e::Example::run(async |example| {
/// # let contree = example.contree();
/// let session = contree.session("tag:debian");
/// session.run("echo one > /notes").await?;
/// let other = session.branch();
/// session.run("echo two >> /notes").await?;
/// other.run("echo three >> /notes").await?;
/// assert_eq!(session.tip().read("/notes").await?, "one\ntwo\n");
/// assert_eq!(other.tip().read("/notes").await?, "one\nthree\n");
/// session.rollback(1)?;
/// assert_eq!(session.tip().read("/notes").await?, "one\n");
/// # Ok(()) });
/// ```
#[derive(Debug, Clone)]
pub struct Session<C = Contree> {
    pub(crate) contree: C,
    line: Line,
}

/// Never empty.
#[derive(Debug, Clone)]
struct Line(Arc<Mutex<Vec<Name>>>);

impl Line {
    fn new(names: Vec<Name>) -> Self {
        Self(Arc::new(Mutex::new(names)))
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Name>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a run may do to its session.
#[derive(Debug)]
pub(crate) struct Step {
    line: Line,
    from: Name,
}

impl Step {
    /// Moves the tip, unless it has moved meanwhile or would stay.
    pub(crate) fn advance(&self, to: &Name) {
        let mut line = self.line.lock();
        if line.last() == Some(&self.from) && self.from != *to {
            line.push(to.clone());
        }
    }
}

impl<C: Clone> Session<C> {
    pub(crate) fn new(contree: C, image: ImageName) -> Self {
        Self {
            contree,
            line: Line::new(vec![image.0]),
        }
    }

    fn image(&self, name: Name) -> Image<C> {
        Image::new(self.contree.clone(), name)
    }

    fn tip_name(&self) -> Name {
        let line = self.line.lock();
        line[line.len() - 1].clone()
    }

    /// What the next run starts from.
    #[must_use]
    pub fn tip(&self) -> Image<C> {
        self.image(self.tip_name())
    }

    /// All images, from the first to the tip.
    #[must_use]
    pub fn history(&self) -> Vec<Image<C>> {
        let names = self.line.lock().clone();
        names.into_iter().map(|name| self.image(name)).collect()
    }

    /// A run of a shell command, as [`Image::run`].
    pub fn run(&self, command: impl Into<String>) -> RunBuilder<C> {
        self.build(command.into(), true)
    }

    /// A run of a program, as [`Image::program`].
    pub fn program(&self, program: impl Into<String>) -> RunBuilder<C> {
        self.build(program.into(), false)
    }

    fn build(&self, command: String, shell: bool) -> RunBuilder<C> {
        let from = self.tip_name();
        let run = RunBuilder::new(self.contree.clone(), &from, command, shell);
        run.in_session(Step {
            line: self.line.clone(),
            from,
        })
    }

    /// Another session with the same images so far. From here on each goes its own way.
    #[must_use]
    pub fn branch(&self) -> Self {
        Self {
            contree: self.contree.clone(),
            line: Line::new(self.line.lock().clone()),
        }
    }

    /// Goes back so many images, and returns the new tip.
    ///
    /// # Errors
    /// [`Error::Rollback`] when there are not so many; nothing has moved then.
    pub fn rollback(&self, steps: usize) -> Result<Image<C>, Error> {
        let name = {
            let mut line = self.line.lock();
            let held = line.len() - 1;
            if steps > held {
                return Err(Error::Rollback { steps, held });
            }
            line.truncate(held + 1 - steps);
            line[held - steps].clone()
        };
        Ok(self.image(name))
    }

    /// Makes an image the tip.
    pub fn move_to(&self, image: impl Into<ImageName>) {
        self.line.lock().push(image.into().0);
    }
}

impl<C> From<&Image<C>> for ImageName {
    fn from(image: &Image<C>) -> Self {
        Self(image.name().clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Client, Config};

    #[test]
    fn a_line_moves_by_what_began_at_its_tip() {
        let client = Client::new(Config::new("http://127.0.0.1:1", "t")).unwrap();
        let session = Session::new(Contree::new(client), "tag:a".into());
        let name = |text: &str| ImageName::from(text).0;
        let step = |session: &Session| Step {
            line: session.line.clone(),
            from: session.tip_name(),
        };
        let (first, late) = (step(&session), step(&session));
        first.advance(&name("tag:b"));
        late.advance(&name("tag:c"));
        step(&session).advance(&name("tag:b"));
        let branch = session.branch();
        step(&branch).advance(&name("tag:d"));
        let names = |session: &Session| {
            let images = session.history();
            images.iter().map(ToString::to_string).collect::<Vec<_>>()
        };
        assert_eq!(names(&session), ["tag:a", "tag:b"]);
        assert_eq!(names(&branch), ["tag:a", "tag:b", "tag:d"]);
        assert!(matches!(
            branch.rollback(3),
            Err(Error::Rollback { steps: 3, held: 2 })
        ));
        assert_eq!(branch.rollback(2).unwrap().to_string(), "tag:a");
        branch.move_to(session.tip());
        assert_eq!(names(&branch), ["tag:a", "tag:b"]);
    }
}
