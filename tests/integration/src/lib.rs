//! Integration tests over the built program. The tests are in `tests/it`, one module per feature.
