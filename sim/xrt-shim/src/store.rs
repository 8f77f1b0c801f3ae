//! The card's memory by address. Pages that nobody wrote hold poison.

use std::collections::HashMap;
use std::ops::Range;

/// What fresh memory reads as.
pub(crate) const POISON: u8 = 0xcd;
const PAGE_BYTES: u64 = 1 << 16;

#[derive(Default)]
pub(crate) struct Store {
    pages: HashMap<u64, Box<[u8]>>,
}

/// The pages of a range: page number, range inside of it, range of the caller's bytes.
fn pieces(at: u64, len: usize) -> impl Iterator<Item = (u64, Range<usize>, Range<usize>)> {
    let mut done = 0;
    std::iter::from_fn(move || {
        let address = at + done as u64;
        let from = (address % PAGE_BYTES) as usize;
        let count = (len - done).min(PAGE_BYTES as usize - from);
        let piece = (address / PAGE_BYTES, from..from + count, done..done + count);
        done += count;
        (count > 0).then_some(piece)
    })
}

impl Store {
    pub fn write(&mut self, at: u64, data: &[u8]) {
        for (page, inside, mine) in pieces(at, data.len()) {
            let page = self.pages.entry(page).or_insert_with(|| vec![POISON; PAGE_BYTES as usize].into());
            page[inside].copy_from_slice(&data[mine]);
        }
    }

    pub fn read(&self, at: u64, out: &mut [u8]) {
        for (page, inside, mine) in pieces(at, out.len()) {
            match self.pages.get(&page) {
                Some(page) => out[mine].copy_from_slice(&page[inside]),
                None => out[mine].fill(POISON),
            }
        }
    }

    /// Forgets a range.
    pub fn poison(&mut self, range: Range<u64>) {
        for (page, inside, _) in pieces(range.start, (range.end - range.start) as usize) {
            if inside.len() as u64 == PAGE_BYTES {
                self.pages.remove(&page);
            } else if let Some(page) = self.pages.get_mut(&page) {
                page[inside].fill(POISON);
            }
        }
    }
}
