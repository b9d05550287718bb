//! Streams that are open, and whose they are.
//!
//! Every other request is answered within its time. A stream stays, while what its token may do was
//! looked at before it was opened. So each belongs to its token and to the project that this acts
//! for ([`OfToken`]), and ends with an error when one of them is taken away or the token's time is
//! over. Whoever has a good token comes back.
//!
//! A token may be taken away between the look at it and the opening of the stream. So an
//! [`Identity`] tells what had been taken away until it was looked up ([`Moment`]), and when that
//! is not how things are any more, the stream is not opened: the request has to be sent again,
//! and its token is looked at again. That is rare, so it does not matter whose token it was.
//!
//! Streams hold connections, and those are bounded for all together. So one token may have only
//! so many open in a project.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::fmt;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use contree_api::{ErrorKind, ProjectId, Timestamp, TokenId};
use futures_util::Stream;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::{Identity, unauthorized};
use crate::{Engine, Error};

/// Feeds that one token may have open in a project. One is enough for all that a program waits
/// for; every change costs a little for each.
const MAX_FEEDS: usize = 256;

/// When to try again to open one stream more, in seconds.
const RETRY_FULL: u32 = 1;

/// What a stream tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Told {
    /// The changes of all operations of a project.
    Changes,
    /// The log of one operation.
    Log,
}

/// How often a token or a project had been taken away.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Moment(u64);

/// All streams that are open. Cheap to clone; all clones are the same.
#[derive(Debug, Clone, Default)]
pub(crate) struct OpenStreams(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    now: Moment,
    /// No owner is without streams.
    owners: HashMap<Owner, Owned>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Owner {
    token: TokenId,
    project: ProjectId,
}

#[derive(Debug, Default)]
struct Owned {
    /// Fires when the owner is taken away.
    gone: CancellationToken,
    /// How many, of all kinds.
    streams: usize,
    feeds: usize,
}

impl OpenStreams {
    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing panics while holding it.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// To be asked before a token is looked up.
    pub(crate) fn moment(&self) -> Moment {
        self.lock().now
    }

    /// Ends the streams of a token that is on record no more.
    pub(crate) fn token_is_gone(&self, token: TokenId) {
        self.end(|owner| owner.token == token);
    }

    /// Ends the streams of a project that is on record no more.
    pub(crate) fn project_is_gone(&self, project: ProjectId) {
        self.end(|owner| owner.project == project);
    }

    fn end(&self, is_gone: impl Fn(&Owner) -> bool) {
        let mut state = self.lock();
        state.now.0 += 1;
        state.owners.retain(|owner, owned| {
            let is_gone = is_gone(owner);
            if is_gone {
                owned.gone.cancel();
            }
            !is_gone
        });
    }

    /// A place for one stream more, of at most `most` that the token has in the project.
    pub(crate) fn open(
        &self,
        identity: &Identity,
        told: Told,
        most: usize,
    ) -> Result<Place, Error> {
        let owner = Owner {
            token: identity.token_id,
            project: identity.project_id,
        };
        let mut state = self.lock();
        if state.now != identity.as_of {
            return Err(Error::new(
                ErrorKind::Unavailable,
                "a token or a project was taken away in this moment; send the request again",
            )
            .with_retry_after(RETRY_FULL));
        }
        let (streams, feeds) = state
            .owners
            .get(&owner)
            .map_or((0, 0), |owned| (owned.streams, owned.feeds));
        if told == Told::Changes && feeds >= MAX_FEEDS {
            return Err(full(format!(
                "this token has {feeds} streams of all operations open; close some: one tells of \
                 any number of operations"
            )));
        }
        if streams >= most {
            return Err(full(format!(
                "this token has {streams} event streams open; close some, or wait until they end"
            )));
        }
        let owned = state.owners.entry(owner).or_default();
        owned.streams += 1;
        owned.feeds += usize::from(told == Told::Changes);
        let gone = owned.gone.clone();
        drop(state);
        let until = identity.accepted_until.and_then(|until| {
            let left = until
                .as_micros()
                .saturating_sub(Timestamp::now().as_micros());
            let left = Duration::from_micros(left.try_into().unwrap_or(0));
            // One that ends in the year 200,000 does not end.
            Instant::now().checked_add(left)
        });
        Ok(Place {
            all: self.clone(),
            owner,
            told,
            gone,
            until,
        })
    }
}

impl Engine {
    /// A place for a stream of the caller's.
    ///
    /// # Errors
    /// `TooManyRequests` when there is none; `Unavailable` when the token has to be looked at again.
    pub(crate) fn place(&self, identity: &Identity, told: Told) -> Result<Place, Error> {
        self.streams()
            .open(identity, told, self.config().max_streams)
    }
}

fn full(message: String) -> Error {
    Error::new(ErrorKind::TooManyRequests, message).with_retry_after(RETRY_FULL)
}

/// A stream's place among those of its token, until dropped.
#[derive(Debug)]
pub(crate) struct Place {
    all: OpenStreams,
    owner: Owner,
    told: Told,
    gone: CancellationToken,
    until: Option<Instant>,
}

impl Place {
    /// The stream that has this place.
    pub(crate) fn of<S>(self, stream: S) -> OfToken<S> {
        let (gone, until) = (self.gone.clone(), self.until);
        let over = async move {
            let expired = async {
                match until {
                    Some(until) => tokio::time::sleep_until(until).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = gone.cancelled() => {}
                () = expired => {}
            }
        };
        OfToken {
            stream: Some(stream),
            place: self,
            over: Box::pin(over),
        }
    }

    fn is_over(&self) -> bool {
        self.gone.is_cancelled() || self.until.is_some_and(|until| until <= Instant::now())
    }

    fn why_over(&self) -> Error {
        if self.gone.is_cancelled() {
            return unauthorized(
                "the token was revoked or its project removed; open the stream again with a valid \
                 token",
            );
        }
        unauthorized("the token has expired; open the stream again with a valid token")
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut state = self.all.lock();
        // What is gone is not counted any more.
        if self.gone.is_cancelled() {
            return;
        }
        if let Entry::Occupied(mut owned) = state.owners.entry(self.owner) {
            let counts = owned.get_mut();
            counts.streams -= 1;
            counts.feeds -= usize::from(self.told == Told::Changes);
            if counts.streams == 0 {
                owned.remove();
            }
        }
    }
}

/// A stream that ends with its token: with `Unauthorized` as soon as that is revoked or expires, or
/// its project is removed, whatever there still is to be read.
pub struct OfToken<S> {
    /// None after its end.
    stream: Option<S>,
    place: Place,
    /// Ready when it is to end.
    over: Pin<Box<dyn Future<Output = ()> + Send>>,
}

impl<S> fmt::Debug for OfToken<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("OfToken");
        shown.field("place", &self.place).finish_non_exhaustive()
    }
}

impl<S, T> Stream for OfToken<S>
where
    S: Stream<Item = Result<T, Error>> + Unpin,
{
    type Item = Result<T, Error>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        let Some(stream) = &mut this.stream else {
            return Poll::Ready(None);
        };
        // While there is something to be read, `over` is not polled: that counts as a part of what
        // a task may do in one turn, and would break long logs into many small pieces.
        let is_over = this.place.is_over() || {
            match Pin::new(stream).poll_next(cx) {
                Poll::Ready(item) => {
                    if !matches!(item, Some(Ok(_))) {
                        this.stream = None;
                    }
                    return Poll::Ready(item);
                }
                Poll::Pending => this.over.as_mut().poll(cx).is_ready(),
            }
        };
        if !is_over {
            return Poll::Pending;
        }
        this.stream = None;
        Poll::Ready(Some(Err(this.place.why_over())))
    }
}

#[cfg(test)]
mod tests {
    use std::iter::repeat_with;

    use contree_api::admin::TokenLimits;
    use futures_util::{FutureExt as _, StreamExt as _, stream};

    use super::*;

    const MOST: usize = MAX_FEEDS + 2;

    fn identity(streams: &OpenStreams, token: TokenId, project: ProjectId) -> Identity {
        Identity {
            token_id: token,
            project_id: project,
            permissions: Vec::new(),
            limits: TokenLimits::default(),
            expires_at: None,
            accepted_until: None,
            as_of: streams.moment(),
        }
    }

    fn someone(streams: &OpenStreams) -> Identity {
        identity(streams, TokenId::new(), ProjectId::new())
    }

    fn open(streams: &OpenStreams, identity: &Identity) -> Place {
        streams.open(identity, Told::Log, MOST).unwrap()
    }

    /// One that has something to be read at any time.
    fn busy(place: Place) -> OfToken<impl Stream<Item = Result<u8, Error>> + Unpin> {
        place.of(stream::iter(repeat_with(|| Ok(1))))
    }

    /// One that never has.
    fn silent(place: Place) -> OfToken<stream::Pending<Result<u8, Error>>> {
        place.of(stream::pending())
    }

    fn owners(streams: &OpenStreams) -> usize {
        streams.lock().owners.len()
    }

    #[tokio::test]
    async fn those_of_a_token_that_is_gone_end_and_others_go_on() {
        let streams = OpenStreams::default();
        let (token, project) = (TokenId::new(), ProjectId::new());
        let places = [
            identity(&streams, token, project),
            // A token of all projects.
            identity(&streams, token, ProjectId::new()),
            identity(&streams, TokenId::new(), project),
        ]
        .map(|identity| open(&streams, &identity));
        let [here, elsewhere, other] = places;
        let (mut here, mut elsewhere, mut other) = (busy(here), silent(elsewhere), busy(other));
        assert_eq!(here.next().await.unwrap().unwrap(), 1);
        assert!(elsewhere.next().now_or_never().is_none());
        // What waits is woken.
        let waiting = tokio::spawn(async move { elsewhere.next().await });
        tokio::task::yield_now().await;
        streams.token_is_gone(token);
        let told = [here.next().await, waiting.await.unwrap()];
        for error in told.map(|told| told.unwrap().unwrap_err()) {
            assert_eq!(error.kind(), ErrorKind::Unauthorized);
            assert!(error.message().contains("revoked"), "{error}");
        }
        assert!(here.next().await.is_none());
        assert_eq!(other.next().await.unwrap().unwrap(), 1);
        streams.project_is_gone(project);
        assert!(other.next().await.unwrap().is_err());
        assert_eq!(owners(&streams), 0);
    }

    #[tokio::test]
    async fn a_stream_ends_when_its_token_expires() {
        let streams = OpenStreams::default();
        let mut expired = someone(&streams);
        expired.accepted_until = Some(Timestamp::now());
        let mut soon = someone(&streams);
        soon.accepted_until = Some(Timestamp::from_micros(Timestamp::now().as_micros() + 1_000));
        let mut never = someone(&streams);
        never.accepted_until = Some(Timestamp::from_micros(i64::MAX));
        let mut expired = busy(open(&streams, &expired));
        let mut soon = silent(open(&streams, &soon));
        let mut never = silent(open(&streams, &never));
        for told in [expired.next().await, soon.next().await] {
            let error = told.unwrap().unwrap_err();
            assert!(error.message().contains("expired"), "{error}");
        }
        assert!(never.next().now_or_never().is_none());
    }

    #[test]
    fn who_was_looked_up_before_something_was_taken_away_has_to_come_again() {
        let streams = OpenStreams::default();
        let before = someone(&streams);
        streams.token_is_gone(TokenId::new());
        let error = streams.open(&before, Told::Log, MOST).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unavailable);
        assert!(error.retry_after().is_some());
        let again = identity(&streams, before.token_id, before.project_id);
        open(&streams, &again);
    }

    #[test]
    fn a_token_has_so_many_and_no_more() {
        let streams = OpenStreams::default();
        let (one, other) = (someone(&streams), someone(&streams));
        let open = |identity, told| streams.open(identity, told, MOST);
        let mut feeds: Vec<_> = (0..MAX_FEEDS)
            .map(|_| open(&one, Told::Changes).unwrap())
            .collect();
        let error = open(&one, Told::Changes).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::TooManyRequests);
        assert!(error.retry_after().is_some());
        assert!(error.message().contains("256 streams of all"), "{error}");
        let logs = [(); 2].map(|()| open(&one, Told::Log).unwrap());
        let error = open(&one, Told::Log).unwrap_err();
        assert!(error.message().contains("258 event streams"), "{error}");
        drop(open(&other, Told::Changes).unwrap());
        drop(feeds.pop());
        feeds.push(open(&one, Told::Changes).unwrap());
        drop((feeds, logs));
        assert_eq!(owners(&streams), 0);
    }
}
