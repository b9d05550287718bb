//! Lists longer than the server's page.

use crate::failure::Failure;

/// The server's largest page.
const PAGE: u32 = 1_000;

/// Hands `each` up to `max` items of a list that comes in pages of (limit, offset). Whether there
/// are more than `max`.
pub(crate) async fn pages<T>(
    max: u32,
    fetch: impl AsyncFn(u32, u32) -> Result<Vec<T>, contree_client::Error>,
    mut each: impl FnMut(T) -> Result<(), Failure>,
) -> Result<bool, Failure> {
    let mut taken = 0;
    while taken < max {
        let limit = PAGE.min(max - taken);
        let page = fetch(limit, taken).await?;
        let count = u32::try_from(page.len()).unwrap_or(u32::MAX);
        page.into_iter()
            .take(limit as usize)
            .try_for_each(&mut each)?;
        if count < limit {
            return Ok(false);
        }
        taken += limit;
    }
    Ok(!fetch(1, max).await?.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn take(length: u32, max: u32) -> (usize, bool) {
        let mut taken = 0;
        let fetch = async |limit: u32, offset: u32| {
            assert!((1..=PAGE).contains(&limit));
            Ok((offset..length.min(offset + limit)).collect())
        };
        let more = pages(max, fetch, |_| {
            taken += 1;
            Ok(())
        })
        .await;
        (taken, more.unwrap())
    }

    #[tokio::test]
    async fn ends() {
        assert_eq!(take(0, 10).await, (0, false));
        assert_eq!(take(10, 10).await, (10, false));
        assert_eq!(take(11, 10).await, (10, true));
        assert_eq!(take(2_500, 3_000).await, (2_500, false));
        assert_eq!(take(2_500, 2_000).await, (2_000, true));
    }
}
