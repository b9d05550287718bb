//! What was looked up on behalf of callers: tokens by the SHA-256 of their text, projects by what
//! callers name them.
//!
//! Nothing but this engine changes either on record, so what is remembered stays true until it
//! does; then all is forgotten. A look-up that was under way meanwhile may have seen the state
//! before, so what it found is not kept: it belongs to an earlier [`Generation`].

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use contree_api::ProjectId;
use contree_records::Token;

/// Tokens, and projects, remembered at most.
const REMEMBERED: usize = 10_000;

/// Counts how often all was forgotten.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Generation(u64);

#[derive(Debug, Default)]
pub(crate) struct Known(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    generation: u64,
    tokens: HashMap<[u8; 32], Token>,
    projects: HashMap<String, ProjectId>,
}

impl Known {
    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing panics while holding it.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The token, or the generation to add it with.
    pub(super) fn token(&self, hash: &[u8; 32]) -> Result<Token, Generation> {
        let state = self.lock();
        let generation = Generation(state.generation);
        state.tokens.get(hash).cloned().ok_or(generation)
    }

    pub(super) fn add_token(&self, asked: Generation, hash: [u8; 32], token: Token) {
        let mut state = self.lock();
        if Generation(state.generation) == asked {
            make_room(&mut state.tokens);
            state.tokens.insert(hash, token);
        }
    }

    /// The project, or the generation to add it with.
    pub(super) fn project(&self, named: &str) -> Result<ProjectId, Generation> {
        let state = self.lock();
        let generation = Generation(state.generation);
        state.projects.get(named).copied().ok_or(generation)
    }

    pub(super) fn add_project(&self, asked: Generation, named: &str, project: ProjectId) {
        let mut state = self.lock();
        if Generation(state.generation) == asked {
            make_room(&mut state.projects);
            state.projects.insert(named.to_owned(), project);
        }
    }

    /// After a change that took something away.
    pub(crate) fn forget_all(&self) {
        let mut state = self.lock();
        state.generation += 1;
        state.tokens.clear();
        state.projects.clear();
    }
}

fn make_room<K, V>(map: &mut HashMap<K, V>) {
    if map.len() >= REMEMBERED {
        map.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_looked_up_before_a_change_is_not_kept() {
        let known = Known::default();
        let project = ProjectId::new();
        let asked = known.project("a").unwrap_err();
        known.forget_all();
        known.add_project(asked, "a", project);
        let asked = known.project("a").unwrap_err();
        known.add_project(asked, "a", project);
        assert_eq!(known.project("a"), Ok(project));
        known.forget_all();
        assert!(known.project("a").is_err());
    }
}
