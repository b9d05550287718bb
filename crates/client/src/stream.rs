//! What is asked for one by one, as a stream of the `futures` crates.

use std::pin::Pin;

use futures_util::Stream;

use crate::Error;

/// Calls `next` until it gives `None` or an error.
///
/// The state is kept apart from the future that works on it, and given back by it; so neither
/// borrows from the other.
pub(crate) fn unfold<S, T, F>(
    state: S,
    next: impl Fn(S) -> F + Send + 'static,
) -> Pin<Box<dyn Stream<Item = Result<T, Error>> + Send>>
where
    S: Send + 'static,
    T: Send + 'static,
    F: Future<Output = (S, Result<Option<T>, Error>)> + Send + 'static,
{
    Box::pin(futures_util::stream::unfold(
        (Some(state), next),
        |(state, next)| async move {
            match next(state?).await {
                (state, Ok(Some(item))) => Some((Ok(item), (Some(state), next))),
                (_, Ok(None)) => None,
                (_, Err(error)) => Some((Err(error), (None, next))),
            }
        },
    ))
}
