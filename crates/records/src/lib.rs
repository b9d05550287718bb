//! What is known: all SQL, on embedded SQLite.
