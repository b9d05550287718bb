//! What was looked up lately, so that the records need not be asked for it on every request.
//!
//! Nothing but this engine changes the records, so what is remembered stays true until the engine
//! takes something away; then all is forgotten. A look-up that was under way meanwhile may have
//! seen the state before, so what it found is not kept: it belongs to an earlier [`Generation`].

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Counts how often all was forgotten.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Generation(u64);

/// Values by key, at most `MOST` of them.
#[derive(Debug)]
pub(crate) struct Remembered<K, V, const MOST: usize>(Mutex<State<K, V>>);

#[derive(Debug)]
struct State<K, V> {
    generation: u64,
    values: HashMap<K, V>,
}

impl<K, V, const MOST: usize> Default for Remembered<K, V, MOST> {
    fn default() -> Self {
        Self(Mutex::new(State {
            generation: 0,
            values: HashMap::new(),
        }))
    }
}

impl<K: Eq + Hash, V: Clone, const MOST: usize> Remembered<K, V, MOST> {
    fn lock(&self) -> MutexGuard<'_, State<K, V>> {
        // Nothing panics while holding it.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The value, or what to add it with once it is looked up.
    pub(crate) fn get(&self, key: &K) -> Result<V, Generation> {
        let state = self.lock();
        let generation = Generation(state.generation);
        state.values.get(key).cloned().ok_or(generation)
    }

    /// Keeps what was looked up, unless all was forgotten since it was asked for.
    pub(crate) fn add(&self, asked: Generation, key: K, value: V) {
        let mut state = self.lock();
        if Generation(state.generation) == asked {
            state.keep::<MOST>(key, value);
        }
    }

    /// Keeps what was just made.
    pub(crate) fn add_new(&self, key: K, value: V) {
        self.lock().keep::<MOST>(key, value);
    }

    /// After a change that took something away.
    pub(crate) fn forget_all(&self) {
        let mut state = self.lock();
        state.generation += 1;
        state.values.clear();
    }
}

impl<K: Eq + Hash, V> State<K, V> {
    fn keep<const MOST: usize>(&mut self, key: K, value: V) {
        if self.values.len() >= MOST {
            self.values.clear();
        }
        self.values.insert(key, value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_looked_up_before_a_change_is_not_kept() {
        let remembered = Remembered::<&str, u8, 2>::default();
        let asked = remembered.get(&"a").unwrap_err();
        remembered.forget_all();
        remembered.add(asked, "a", 1);
        let asked = remembered.get(&"a").unwrap_err();
        remembered.add(asked, "a", 2);
        assert_eq!(remembered.get(&"a"), Ok(2));
        remembered.add_new("b", 3);
        // There is no room for a third.
        remembered.add_new("c", 4);
        assert!(remembered.get(&"a").is_err());
        assert_eq!(remembered.get(&"c"), Ok(4));
    }
}
