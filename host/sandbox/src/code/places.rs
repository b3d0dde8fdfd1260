//! Places in source files, from a guest's DWARF.
//!
//! Only the compiler child reads DWARF: a few bytes of it can describe any amount of work. The host
//! passes it positions in the file, and gets texts.

use std::collections::HashMap;
use std::ops::Range;

use addr2line::gimli::{Dwarf, EndianSlice, Error, LittleEndian};
use skep_protocol::text::brief;
use wasmparser::{Parser, Payload};

use crate::outcome::{Crash, FRAMES, Frame, NAME, demangled};

/// A function and a line in a source file. Both texts come from the guest.
#[derive(Debug, PartialEq, Eq)]
pub struct Place {
    function: Option<String>,
    source: Option<String>,
}

/// A place as the child writes it.
type PlaceText = (Option<String>, Option<String>);

/// Writes places as JSON of at most `most` bytes, without the last ones if there is no room.
pub(crate) fn write(mut found: Vec<Vec<Place>>, most: usize) -> Vec<u8> {
    loop {
        let text = |place: &Place| (place.function.clone(), place.source.clone());
        let texts: Vec<Vec<PlaceText>> =
            found.iter().map(|places| places.iter().map(text).collect()).collect();
        let json = serde_json::to_vec(&texts).unwrap_or_default();
        if json.len() <= most || found.pop().is_none() {
            return json;
        }
    }
}

/// Reads what an untrusted child wrote. Empty if it is not what [`write`] writes.
pub(crate) fn read(json: &[u8]) -> Vec<Vec<Place>> {
    let texts: Vec<Vec<PlaceText>> = serde_json::from_slice(json).unwrap_or_default();
    let place = |(function, source)| Place { function, source };
    texts.into_iter().map(|places| places.into_iter().map(place).collect()).collect()
}

/// A core module of a file, nested or not.
#[derive(Default)]
struct Module<'a> {
    code: Range<usize>,
    dwarf: HashMap<&'a str, &'a [u8]>,
}

/// Returns the places of each position in a file, innermost inlined function first.
pub(crate) fn places(wasm: &[u8], positions: &[u64]) -> Vec<Vec<Place>> {
    let mut found: Vec<_> = positions.iter().map(|_| Vec::new()).collect();
    let mut levels: Vec<Module<'_>> = Vec::new();
    for payload in Parser::new(0).parse_all(wasm).map_while(Result::ok) {
        match payload {
            Payload::Version { .. } => levels.push(Module::default()),
            Payload::End(_) => {
                if let Some(module) = levels.pop() {
                    module.places(positions, &mut found);
                }
            }
            Payload::CodeSectionStart { range, .. } => {
                if let Some(module) = levels.last_mut() {
                    module.code = range;
                }
            }
            Payload::CustomSection(section) if section.name().starts_with(".debug_") => {
                if let Some(module) = levels.last_mut() {
                    module.dwarf.insert(section.name(), section.data());
                }
            }
            _ => {}
        }
    }
    found
}

impl Module<'_> {
    /// Adds the places of the positions in this module's code.
    fn places(&self, positions: &[u64], found: &mut [Vec<Place>]) {
        let within = |position: &u64| {
            usize::try_from(*position).is_ok_and(|position| self.code.contains(&position))
        };
        if self.dwarf.is_empty() || !positions.iter().any(within) {
            return;
        }
        let section = |name: &str| self.dwarf.get(name).copied().unwrap_or_default();
        let dwarf =
            Dwarf::load(|id| Ok::<_, Error>(EndianSlice::new(section(id.name()), LittleEndian)));
        let Ok(context) = dwarf.and_then(addr2line::Context::from_dwarf) else { return };
        for (position, found) in positions.iter().zip(found) {
            if !within(position) {
                continue;
            }
            // DWARF counts from the beginning of the code section.
            let probe = position - self.code.start as u64;
            let Ok(mut frames) = context.find_frames(probe).skip_all_loads() else { continue };
            while let Ok(Some(frame)) = frames.next()
                && found.len() < FRAMES
            {
                let name = frame.function.as_ref().and_then(|name| name.raw_name().ok());
                let source = frame.location.and_then(|place| {
                    let file = brief(place.file?, NAME).into_owned();
                    Some(match place.line {
                        Some(line) => format!("{file}:{line}"),
                        None => file,
                    })
                });
                let function = name.map(|name| brief(&demangled(&name), NAME).into_owned());
                found.push(Place { function, source });
            }
        }
    }
}

/// Returns the positions of a crash that have no place yet.
pub(crate) fn positions(crash: &Crash) -> Vec<u64> {
    crash.frames.iter().filter_map(|frame| frame.position).collect()
}

/// Adds places to the frames of a crash, in the order of [`positions`]. An inlined function becomes
/// a frame of its own.
pub(crate) fn place(crash: &mut Crash, places: Vec<Vec<Place>>) {
    let mut places = places.into_iter();
    let mut frames = Vec::new();
    for frame in std::mem::take(&mut crash.frames) {
        let found = frame.position.and_then(|_| places.next()).unwrap_or_default();
        let last = found.len();
        if last == 0 {
            frames.push(frame);
            continue;
        }
        for (at, place) in found.into_iter().enumerate() {
            // The module's own name of the function is the better one, as it is whole.
            let own = Some(frame.function.clone()).filter(|_| at + 1 == last);
            let function = place.function.map(|name| brief(&name, NAME).into_owned());
            frames.push(Frame {
                module: frame.module.clone(),
                function: own.or(function).unwrap_or_else(|| "an inlined function".into()),
                source: place.source.map(|source| brief(&source, NAME).into_owned()),
                position: None,
            });
        }
    }
    frames.truncate(FRAMES);
    crash.frames = frames;
}

#[cfg(test)]
mod tests {
    use super::*;

    /// DWARF that says that all code is at line 7 of `worker.c`.
    fn dwarf() -> String {
        let escaped =
            |bytes: &[u8]| bytes.iter().map(|byte| format!("\\{byte:02x}")).collect::<String>();
        let long = |value: usize| u32::try_from(value).unwrap().to_le_bytes();
        // A compilation unit with its lines, its first address and its length.
        let abbrev = [1, 0x11, 0, 0x10, 0x17, 0x11, 1, 0x12, 6, 0, 0, 0];
        let unit = [&[4, 0, 0, 0, 0, 0, 4, 1][..], &long(0), &long(0), &long(100)].concat();
        let info = [&long(unit.len())[..], &unit].concat();
        let opcodes = [0, 1, 1, 1, 1, 0, 0, 0, 1, 0, 0, 1];
        let head = [&[1, 1, 1, 0xfb, 14, 13][..], &opcodes, b"\0worker.c\0\0\0\0\0"].concat();
        // Set address 0, advance by six lines, emit a row, advance by 100 bytes, end.
        let program = [0, 5, 2, 0, 0, 0, 0, 3, 6, 1, 2, 100, 0, 1, 1];
        let line = [&[4, 0][..], &long(head.len()), &head, &program].concat();
        let line = [&long(line.len())[..], &line].concat();
        format!(
            r#"(@custom ".debug_abbrev" "{}") (@custom ".debug_info" "{}")
            (@custom ".debug_line" "{}")"#,
            escaped(&abbrev),
            escaped(&info),
            escaped(&line)
        )
    }

    fn frame(position: Option<u64>) -> Frame {
        Frame { module: None, function: "own".into(), source: None, position }
    }

    #[test]
    fn a_position_in_a_nested_module_has_a_line() {
        let module = format!(r#"(core module (func unreachable) {})"#, dwarf());
        let wasm = wat::parse_str(format!("(component (core module) {module})")).unwrap();
        let unreachable = wasm.windows(2).position(|code| code == [0, 0x0b]).unwrap() as u64;
        let found = places(&wasm, &[unreachable, 3, u64::MAX]);
        let line = Place { function: None, source: Some("worker.c:7".into()) };
        assert_eq!(found, [vec![line], vec![], vec![]]);
        let found = read(&write(found, 100));
        assert_eq!(found.len(), 3);
        assert_eq!(write(places(&wasm, &[unreachable]), 10), b"[]");
        assert_eq!((read(b"[[[1,2]]]"), read(b"")), (vec![], vec![]));

        let frames = vec![frame(Some(unreachable)), frame(None), frame(Some(3)), frame(Some(9))];
        let mut crash = Crash { message: String::new(), frames, stderr: Vec::new() };
        place(&mut crash, found);
        let sources: Vec<_> = crash.frames.iter().map(|frame| frame.source.as_deref()).collect();
        assert_eq!(sources, [Some("worker.c:7"), None, None, None]);
        assert!(crash.frames.iter().all(|frame| frame.function == "own"));
    }

    #[test]
    fn an_inlined_function_is_a_frame() {
        let place_of = |name: &str, line: u32| Place {
            function: Some(name.into()),
            source: Some(format!("a.c:{line}")),
        };
        let frames = vec![frame(Some(1)), frame(Some(2))];
        let mut crash = Crash { message: String::new(), frames, stderr: Vec::new() };
        place(&mut crash, vec![vec![place_of("inner", 3), place_of("mangled", 9)]]);
        let shown: Vec<_> =
            crash.frames.iter().map(|it| (it.function.as_str(), it.source.as_deref())).collect();
        assert_eq!(shown, [("inner", Some("a.c:3")), ("own", Some("a.c:9")), ("own", None)]);
    }

    #[test]
    fn damaged_dwarf_has_no_places() {
        let wat = format!(r#"(module (func unreachable) {})"#, dwarf());
        let wasm = wat::parse_str(wat).unwrap();
        let code = wasm.windows(2).position(|code| code == [0, 0x0b]).unwrap();
        for at in code + 2..wasm.len() {
            for byte in [0, 0x7f, 0xff] {
                let mut damaged = wasm.clone();
                damaged[at] = byte;
                assert!(places(&damaged, &[code as u64])[0].len() <= FRAMES);
            }
        }
    }
}
