//! Lifetime-based allocation of one on-chip memory: regions whose lifetimes do not meet may share
//! words.

use std::fmt;

/// A request: words that must be there from step `from` to step `to`, both included.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// Name for the map.
    pub name: &'static str,
    /// Words.
    pub words: u32,
    /// First step of the lifetime.
    pub from: u32,
    /// Last step of the lifetime.
    pub to: u32,
}

/// A placed region.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Placed {
    /// The request.
    pub request: Request,
    /// First word.
    pub base: u32,
}

/// A memory with its regions.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OnChip {
    /// In request order.
    pub placed: Vec<Placed>,
}

impl OnChip {
    /// Places all requests, the largest first, each at the lowest address that is free during its
    /// lifetime.
    pub fn allocate(requests: &[Request]) -> OnChip {
        let mut order: Vec<usize> = (0..requests.len()).collect();
        order.sort_by_key(|i| std::cmp::Reverse(requests[*i].words));
        let mut placed: Vec<Option<Placed>> = vec![None; requests.len()];
        for i in order {
            let r = &requests[i];
            let mut busy: Vec<(u32, u32)> = placed
                .iter()
                .flatten()
                .filter(|p| p.request.from <= r.to && r.from <= p.request.to)
                .map(|p| (p.base, p.base + p.request.words))
                .collect();
            busy.sort_unstable();
            let mut base = 0;
            for (start, end) in busy {
                if base + r.words <= start {
                    break;
                }
                base = base.max(end);
            }
            placed[i] = Some(Placed { request: r.clone(), base });
        }
        let placed = placed.into_iter().flatten().collect();
        let memory = OnChip { placed };
        memory.verify();
        memory
    }

    /// Asserts that regions alive at the same time do not overlap.
    fn verify(&self) {
        for (i, a) in self.placed.iter().enumerate() {
            for b in &self.placed[..i] {
                let together = a.request.from <= b.request.to && b.request.from <= a.request.to;
                let overlap = a.base < b.base + b.request.words && b.base < a.base + a.request.words;
                assert!(!(together && overlap), "{a:?} overlaps {b:?}");
            }
        }
    }

    /// Words used.
    pub fn words(&self) -> u32 {
        self.placed.iter().map(|p| p.base + p.request.words).max().unwrap_or(0)
    }

    /// First word of a region, if there is one of this name.
    pub fn find(&self, name: &str) -> Option<u32> {
        self.placed.iter().find(|p| p.request.name == name).map(|p| p.base)
    }
}

impl fmt::Display for OnChip {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for p in &self.placed {
            let r = &p.request;
            writeln!(
                f,
                "  {:<12} {:>7} .. {:>7}  steps {}-{}",
                r.name,
                p.base,
                p.base + r.words,
                r.from,
                r.to
            )?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn never_overlaps_and_shares_words(sizes in prop::collection::vec((1u32..100, 0u32..9, 0u32..4), 1..20)) {
            let requests: Vec<_> = sizes.iter()
                .map(|(words, from, len)| Request { name: "r", words: *words, from: *from, to: from + len })
                .collect();
            let m = OnChip::allocate(&requests); // verifies inside
            prop_assert!(m.words() <= sizes.iter().map(|s| s.0).sum());
        }
    }

    #[test]
    fn disjoint_lifetimes_share() {
        let r = |name, from, to| Request { name, words: 10, from, to };
        let m = OnChip::allocate(&[r("a", 0, 1), r("b", 2, 3)]);
        assert_eq!(m.words(), 10);
    }
}
