//! Skep from outside. The tests are in `tests/it`, one module for each thing a user relies on.
