//! What was typed while a command ran and did not reach it: the shell's next lines.

/// Text of whole rows, and of one that has begun.
#[derive(Debug, Default)]
pub(super) struct Ahead {
    text: String,
}

impl Ahead {
    /// Adds what was typed. Whatever is not text cannot have been meant for the line editor.
    pub(super) fn add(&mut self, bytes: &[u8]) {
        let text = String::from_utf8_lossy(bytes);
        self.text.extend(
            text.chars()
                .filter(|c| *c == '\n' || *c == '\t' || !c.is_control()),
        );
    }

    /// The next whole row.
    pub(super) fn line(&mut self) -> Option<String> {
        let end = self.text.find('\n')?;
        let line = self.text[..end].to_owned();
        self.text.drain(..=end);
        Some(line)
    }

    /// What is left once there is no whole row: the line that has begun.
    pub(super) fn rest(&mut self) -> String {
        std::mem::take(&mut self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_first_and_then_the_rest() {
        let mut ahead = Ahead::default();
        ahead.add(b"ls\nec");
        ahead.add(b"ho \x1b[A\xff");
        assert_eq!(ahead.line().as_deref(), Some("ls"));
        assert_eq!(ahead.line(), None);
        assert_eq!(ahead.rest(), "echo [A\u{fffd}");
        assert_eq!(ahead.rest(), "");
    }
}
