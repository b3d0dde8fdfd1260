//! The order of steps: each after those that it needs. A cycle is named.

use std::collections::BTreeMap;

/// Returns names so that each comes after those it needs, otherwise in the given order.
///
/// # Errors
/// The names of a cycle, the first one again at its end.
pub(crate) fn sorted<'a>(
    names: &[&'a str],
    needs: &BTreeMap<&'a str, Vec<&'a str>>,
) -> Result<Vec<&'a str>, Vec<&'a str>> {
    let mut state: BTreeMap<&str, Mark> = BTreeMap::new();
    let mut done = Vec::new();
    for &name in names {
        // An explicit stack: a pipeline may be a long chain.
        let mut path: Vec<(&str, usize)> = vec![(name, 0)];
        while let Some((at, next)) = path.pop() {
            if next == 0 {
                match state.get(at) {
                    Some(Mark::Done) => continue,
                    Some(Mark::Open) => {
                        let mut cycle: Vec<_> = path.iter().map(|(name, _)| *name).collect();
                        let first = cycle.iter().position(|name| *name == at).unwrap_or(0);
                        cycle.drain(..first);
                        cycle.push(at);
                        return Err(cycle);
                    }
                    None => drop(state.insert(at, Mark::Open)),
                }
            }
            match needs.get(at).and_then(|needs| needs.get(next)) {
                Some(&need) => {
                    path.push((at, next + 1));
                    path.push((need, 0));
                }
                None => {
                    state.insert(at, Mark::Done);
                    done.push(at);
                }
            }
        }
    }
    Ok(done)
}

#[derive(Clone, Copy, PartialEq)]
enum Mark {
    Open,
    Done,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn needs_come_first_and_a_cycle_is_named() {
        let needs = BTreeMap::from([("c", vec!["b"]), ("b", vec!["a"]), ("d", vec!["a", "c"])]);
        assert_eq!(sorted(&["d", "c", "b", "a"], &needs).unwrap(), ["a", "b", "c", "d"]);
        let needs = BTreeMap::from([("x", vec!["a"]), ("a", vec!["b"]), ("b", vec!["a"])]);
        assert_eq!(sorted(&["x", "a", "b"], &needs).unwrap_err(), ["a", "b", "a"]);
        let own = BTreeMap::from([("a", vec!["a"])]);
        assert_eq!(sorted(&["a"], &own).unwrap_err(), ["a", "a"]);
    }

    #[test]
    fn a_long_chain_needs_no_stack() {
        let names: Vec<_> = (0..100_000).map(|n| format!("s{n}")).collect();
        let names: Vec<_> = names.iter().map(String::as_str).collect();
        let needs = names.windows(2).map(|pair| (pair[0], vec![pair[1]])).collect();
        assert_eq!(sorted(&names, &needs).unwrap().len(), names.len());
    }
}
