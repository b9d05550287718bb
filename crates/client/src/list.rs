//! Lists that the server gives page by page.

use std::collections::VecDeque;
use std::fmt;

use futures_util::Stream;
use futures_util::future::BoxFuture;

use crate::Error;

/// Items of a page: the most that the server gives.
const PAGE: u32 = 1_000;

/// A list of the server, newest first. Pages are fetched when they are needed. What is made or
/// removed while it is read may be seen twice, or not.
///
/// ```
/// # contree_e2e::Example::run(async |example| {
/// # let contree = example.contree();
/// use contree_client::ImageFilter;
///
/// let mut images = contree.images(ImageFilter::default());
/// while let Some(image) = images.next().await? {
///     println!("{} {:?}", image.uuid, image.tag);
/// }
/// # Ok(()) });
/// ```
pub struct List<T> {
    fetch: Fetch<T>,
    ready: VecDeque<T>,
    offset: u32,
    is_done: bool,
}

/// Fetches a page: how many, and after how many.
type Fetch<T> = Box<dyn Fn(u32, u32) -> BoxFuture<'static, Result<Vec<T>, Error>> + Send + Sync>;

impl<T: Send + 'static> List<T> {
    pub(crate) fn new(
        fetch: impl Fn(u32, u32) -> BoxFuture<'static, Result<Vec<T>, Error>> + Send + Sync + 'static,
    ) -> Self {
        Self {
            fetch: Box::new(fetch),
            ready: VecDeque::new(),
            offset: 0,
            is_done: false,
        }
    }

    /// The next item; `None` when there are no more.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn next(&mut self) -> Result<Option<T>, Error> {
        loop {
            if let Some(item) = self.ready.pop_front() {
                return Ok(Some(item));
            }
            if self.is_done {
                return Ok(None);
            }
            let page = (self.fetch)(PAGE, self.offset).await?;
            let count = u32::try_from(page.len()).unwrap_or(u32::MAX);
            self.offset = self.offset.saturating_add(count);
            self.is_done = count < PAGE;
            self.ready = page.into();
        }
    }

    /// All of them.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn all(mut self) -> Result<Vec<T>, Error> {
        let mut items = Vec::new();
        while let Some(item) = self.next().await? {
            items.push(item);
        }
        Ok(items)
    }

    /// As a stream of the `futures` crates.
    pub fn into_stream(self) -> impl Stream<Item = Result<T, Error>> + Send + Unpin + 'static {
        crate::stream::unfold(self, |mut list| async move {
            let next = list.next().await;
            (list, next)
        })
    }
}

impl<T> fmt::Debug for List<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("List")
            .field("offset", &self.offset)
            .finish_non_exhaustive()
    }
}
