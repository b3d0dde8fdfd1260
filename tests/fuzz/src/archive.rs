//! An untrusted archive imported into a worker's directory: it only makes plain files and
//! directories inside, and what was unpacked can be packed and unpacked again.

use std::collections::BTreeMap;

use skep_scope::Scope;
use skep_scope::files::{self, ArchiveExport, ArchiveImport};
use tar::Header;

use crate::place::Place;

const BLOCK: usize = 512;

/// The longest archive tried.
const LONGEST: usize = 1 << 16;

pub(crate) fn run(data: &[u8]) {
    let Some((&how, archive)) = data.split_first() else { return };
    let mut archive = archive[..archive.len().min(LONGEST)].to_vec();
    if how & 1 == 0 {
        mend(&mut archive);
    }
    let step = [1, 7, 511, 512, 513, 4_096, 65_536][usize::from(how >> 1) % 7];
    let place = Place::new();
    let mut import = ArchiveImport::new(&place.inner, place.aside.clone());
    let pushed = archive.chunks(step).try_for_each(|piece| import.push(piece));
    let done = match pushed {
        Ok(()) => import.finish().ok(),
        Err(_) => {
            drop(import);
            None
        }
    };
    assert!(place.aside.entries().expect("the folder exists").next().is_none(), "a draft is left");
    if done.is_some() {
        packs_again(&place);
    }
    place.check();
}

/// Corrects the checksum of each header, which a fuzzer cannot guess, and the end.
fn mend(archive: &mut Vec<u8>) {
    let mut at = 0;
    while at < archive.len() {
        if archive.len() < at + BLOCK {
            archive.resize(at + BLOCK, 0);
        }
        let block = &mut archive[at..at + BLOCK];
        if block.iter().all(|&byte| byte == 0) {
            break;
        }
        let mut header = Header::new_old();
        header.as_mut_bytes().copy_from_slice(block);
        header.set_cksum();
        block.copy_from_slice(header.as_bytes());
        let size = header.entry_size().ok().and_then(|size| usize::try_from(size).ok());
        let size = size.filter(|&size| size <= LONGEST).unwrap_or(0);
        at += BLOCK + size.next_multiple_of(BLOCK);
    }
    archive.resize(at + 2 * BLOCK, 0);
}

fn packs_again(place: &Place) {
    let mut export = ArchiveExport::new(&place.inner);
    let other = Place::new();
    let mut import = ArchiveImport::new(&other.inner, other.aside.clone());
    while let Some(piece) = export.next_piece().expect("the disk is whole") {
        import.push(&piece).expect("an export can be imported");
    }
    import.finish().expect("an export can be imported");
    // The other place had the same files before.
    assert_eq!(content(&place.inner), content(&other.inner));
    other.check();
}

fn content(scope: &Scope) -> BTreeMap<String, Vec<u8>> {
    let listed =
        files::list(scope, &files::Wanted::default(), usize::MAX).expect("the disk is whole");
    let read = |name: &skep_protocol::FileName| {
        let (view, file) = files::open(scope, name).expect("the file was listed");
        let mut content = vec![0; usize::try_from(view.bytes).expect("the file is small")];
        assert_eq!(file.read_at(&mut content, 0).expect("the disk is whole"), content.len());
        content
    };
    listed.files.iter().map(|file| (file.name.as_str().to_owned(), read(&file.name))).collect()
}
