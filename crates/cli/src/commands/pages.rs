//! Lists longer than the server's page.

use crate::failure::Failure;

/// The server's largest page.
const PAGE: u32 = 1_000;

/// Hands `each` up to `max` items that are meant, of a list that comes in pages of (limit,
/// offset). Whether there are more than `max`.
pub(crate) async fn pages<T>(
    max: u32,
    fetch: impl AsyncFn(u32, u32) -> Result<Vec<T>, contree_client::Error>,
    is_meant: impl Fn(&T) -> bool,
    mut each: impl FnMut(T) -> Result<(), Failure>,
) -> Result<bool, Failure> {
    let (mut seen, mut taken) = (0, 0);
    loop {
        // One more than is wanted tells whether there is more.
        let limit = PAGE.min((max - taken).saturating_add(1));
        let page = fetch(limit, seen).await?;
        let count = u32::try_from(page.len()).unwrap_or(u32::MAX);
        for item in page.into_iter().take(limit as usize).filter(&is_meant) {
            if taken == max {
                return Ok(true);
            }
            taken += 1;
            each(item)?;
        }
        if count < limit {
            return Ok(false);
        }
        seen += limit;
    }
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
        let more = pages(
            max,
            fetch,
            |_| true,
            |_| {
                taken += 1;
                Ok(())
            },
        )
        .await;
        (taken, more.unwrap())
    }

    #[tokio::test]
    async fn only_what_is_meant_counts() {
        let mut taken = Vec::new();
        let fetch =
            async |limit: u32, offset: u32| Ok((offset..3_000.min(offset + limit)).collect());
        let is_even = |n: &u32| n.is_multiple_of(2);
        let more = pages(1_200, fetch, is_even, |n| {
            taken.push(n);
            Ok(())
        })
        .await;
        assert_eq!((taken.len(), taken.last()), (1_200, Some(&2_398)));
        assert!(more.unwrap());
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
