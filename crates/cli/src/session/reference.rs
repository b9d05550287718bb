//! Ways to name an operation: by its id, or by an entry of the session's history.
//!
//! | form | meaning |
//! | --- | --- |
//! | `UUID` | the operation itself |
//! | `@`, `:`, `HEAD` | the tip of the active branch |
//! | `N`, `@N`, `:N`, `HEADN` | the entry of that id |
//! | `@-N`, `:-N`, `HEAD-N`, `HEAD~N`, `HEAD~` | N steps back from the tip (`HEAD~`: one) |
//! | `@+N`, `:+N`, `HEAD+N` | N steps forward |

use contree_api::OperationId;

use super::{Store, Target};
use crate::failure::Failure;

/// What a word names, before it is looked up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Named {
    Operation(OperationId),
    Entry(Target),
}

fn read(word: &str) -> Option<Named> {
    if let Ok(id) = word.parse::<OperationId>() {
        return Some(Named::Operation(id));
    }
    if let Some(steps) = word.strip_prefix("HEAD~") {
        let steps = if steps.is_empty() { "1" } else { steps };
        let is_number = steps.bytes().all(|b| b.is_ascii_digit());
        return is_number
            .then(|| format!("-{steps}").parse().ok().map(Named::Entry))
            .flatten();
    }
    let rest = ["HEAD", "@", ":"]
        .iter()
        .find_map(|prefix| word.strip_prefix(prefix));
    match rest {
        Some("") => Some(Named::Entry(Target::Tip)),
        Some(rest) => rest.parse().ok().map(Named::Entry),
        // A bare number, but not a bare sign: that reads like an option.
        None if word.starts_with(|c: char| c.is_ascii_digit()) => {
            word.parse().ok().map(Named::Entry)
        }
        None => None,
    }
}

/// `0`, `@0`, `HEAD~0` and the like.
fn is_zero(word: &str) -> bool {
    let number = word.trim_start_matches("HEAD");
    let number = number.trim_start_matches(['@', ':', '~', '+', '-']);
    !number.is_empty() && number.bytes().all(|b| b == b'0')
}

impl Store {
    /// The operations that some arguments name; each may hold several words. All that is wrong is
    /// reported at once.
    pub(crate) async fn operations(
        &mut self,
        arguments: &[String],
    ) -> Result<Vec<OperationId>, Failure> {
        let mut operations = Vec::new();
        let mut wrong = Vec::new();
        for word in arguments
            .iter()
            .flat_map(|argument| argument.split_whitespace())
        {
            match read(word) {
                Some(Named::Operation(id)) => operations.push(id),
                Some(Named::Entry(target)) => match self.operation_at(target).await {
                    Ok(id) => operations.push(id),
                    Err(failure) => wrong.push(format!("{word} ({failure})")),
                },
                None if is_zero(word) => wrong.push(format!("{word} (N is a number from 1)")),
                None => wrong.push(format!(
                    "{word} (not a UUID, @N, @-N, HEAD~N or history id)"
                )),
            }
        }
        if wrong.is_empty() {
            return Ok(operations);
        }
        let plural = if wrong.len() == 1 { "" } else { "s" };
        Err(Failure::new(format!(
            "invalid operation reference{plural}: {}",
            wrong.join(", ")
        ))
        .next("contree ps -a   or   contree session show"))
    }

    async fn operation_at(&mut self, target: Target) -> Result<OperationId, Failure> {
        self.active().await?;
        let entry = self.entry(target).await?;
        entry
            .operation_uuid
            .parse()
            .map_err(|_| Failure::new(format!("history entry {} has no operation", entry.id)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms() {
        use Target::{Back, Forward, Id, Tip};
        for (word, target) in [
            ("@", Tip),
            (":", Tip),
            ("HEAD", Tip),
            ("5", Id(5)),
            ("@5", Id(5)),
            (":5", Id(5)),
            ("HEAD5", Id(5)),
            ("@-1", Back(1)),
            (":-2", Back(2)),
            ("HEAD-3", Back(3)),
            ("HEAD~", Back(1)),
            ("HEAD~4", Back(4)),
            ("@+1", Forward(1)),
            ("HEAD+2", Forward(2)),
        ] {
            assert_eq!(read(word), Some(Named::Entry(target)), "{word}");
        }
        for bad in [
            "", "0", "@0", "HEAD~0", "-1", "+1", "HEAD~x", "HEAD~-1", "head", "@@", "12x",
        ] {
            assert_eq!(read(bad), None, "{bad}");
        }
        let id = "01900000-0000-7000-8000-000000000001";
        assert_eq!(read(id), Some(Named::Operation(id.parse().unwrap())));
    }
}
