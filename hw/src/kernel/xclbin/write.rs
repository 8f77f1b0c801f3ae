//! The writer: the xclbin of the emulated card. It has no bitstream; everything that XRT and the driver
//! read is as in a real one.

use super::{Section, HEADER_AT, MAGIC, SECTIONS_AT, SECTION_BYTES};
use crate::isa::isa_hash;
use crate::kernel::{xml, ArgKind, Kernel, Memory, MemoryKind, Release, COMPUTE_UNIT, KERNEL};

/// `XCLBIN_FLAT`: XRT treats the emulated card as hardware.
const MODE_FLAT: u16 = 0;
/// `IP_KERNEL`.
const IP_KERNEL: u32 = 1;
/// `CT_DATA` of `enum CLOCK_TYPE`.
const CLOCK_DATA: u8 = 1;

fn put(out: &mut Vec<u8>, parts: &[&[u8]]) {
    parts.iter().for_each(|p| out.extend_from_slice(p));
}

/// Text in a field of fixed length.
fn field<const N: usize>(text: &str) -> [u8; N] {
    let mut out = [0; N];
    let n = text.len().min(N - 1);
    out[..n].copy_from_slice(&text.as_bytes()[..n]);
    out
}

/// A memory table entry.
fn memory(out: &mut Vec<u8>, kind: MemoryKind, used: bool, size_bytes: u64, base: u64, tag: &str) {
    put(
        out,
        &[
            &[kind as u8, u8::from(used), 0, 0, 0, 0, 0, 0],
            &(size_bytes / 1024).to_le_bytes(),
            &base.to_le_bytes(),
            &field::<16>(tag),
        ],
    );
}

fn used(kernel: &Kernel, index: usize) -> bool {
    kernel.ports.iter().any(|p| p.memories.contains(&index))
}

/// Ports that reach several memories: each gets a group behind the memories, as xclbinutil makes them.
fn groups(kernel: &Kernel) -> Vec<(usize, &[Memory])> {
    let wide = kernel.ports.iter().enumerate().filter(|(_, p)| p.memories.len() > 1);
    wide.map(|(i, p)| (i, &kernel.board.memories[p.memories.clone()])).collect()
}

fn topology(kernel: &Kernel, with_groups: bool) -> Vec<u8> {
    let groups = if with_groups { groups(kernel) } else { Vec::new() };
    let memories = &kernel.board.memories;
    let mut out = ((memories.len() + groups.len()) as u64).to_le_bytes().to_vec();
    for (i, m) in memories.iter().enumerate() {
        memory(&mut out, m.kind, used(kernel, i), m.size_bytes, m.base, &m.tag);
    }
    for (port, banks) in groups {
        let size = banks.iter().map(|b| b.size_bytes).sum();
        let name = crate::kernel::link::banks(kernel, kernel.ports[port].memories.clone());
        memory(&mut out, banks[0].kind, true, size, banks[0].base, &name.replace("HBM", "MBG"));
    }
    out
}

fn connectivity(kernel: &Kernel, with_groups: bool) -> Vec<u8> {
    let mut entries: Vec<[u32; 3]> = Vec::new();
    let groups = groups(kernel);
    for (i, arg) in kernel.args.iter().enumerate() {
        let ArgKind::Pointer(port) = arg.kind else { continue };
        match groups.iter().position(|(p, _)| *p == port).filter(|_| with_groups) {
            Some(g) => entries.push([i as u32, 0, (kernel.board.memories.len() + g) as u32]),
            None => entries.extend(kernel.ports[port].memories.clone().map(|m| [i as u32, 0, m as u32])),
        }
    }
    let mut out = (entries.len() as u32).to_le_bytes().to_vec();
    entries.iter().flatten().for_each(|v| out.extend(v.to_le_bytes()));
    out
}

fn ip_layout() -> Vec<u8> {
    let mut out = 1u64.to_le_bytes().to_vec();
    let name = field::<64>(&format!("{KERNEL}:{COMPUTE_UNIT}"));
    put(&mut out, &[&IP_KERNEL.to_le_bytes(), &0u32.to_le_bytes(), &xml::REGISTERS_AT.to_le_bytes(), &name]);
    out
}

fn clocks(kernel: &Kernel) -> Vec<u8> {
    let mut out = 1u16.to_le_bytes().to_vec();
    let mhz = (kernel.config.clock_mhz as u16).to_le_bytes();
    put(&mut out, &[&mhz, &[CLOCK_DATA, 0, 0, 0, 0, 0], &field::<128>("DATA_CLK")]);
    out
}

/// A name for the build that depends on what is built only.
fn uuid(kernel: &Kernel) -> [u8; 16] {
    let mut out = [0; 16];
    out[..8].copy_from_slice(b"FlightVM");
    out[8..12].copy_from_slice(&isa_hash(&kernel.config).to_be_bytes());
    // FNV-1a over what the hash leaves out: name, memories, clock.
    let rest = Release::of(kernel).to_toml();
    let fnv = rest.bytes().fold(0x811c_9dc5u32, |h, b| (h ^ u32::from(b)).wrapping_mul(0x0100_0193));
    out[12..].copy_from_slice(&fnv.to_be_bytes());
    out
}

/// The xclbin of a kernel on the emulated card.
pub fn emulation(kernel: &Kernel) -> Vec<u8> {
    let mut release = Release::of(kernel).to_toml().into_bytes();
    release.push(0);
    let mut metadata = xml::metadata(kernel).into_bytes();
    metadata.push(0);
    let sections = [
        (Section::EmbeddedMetadata, metadata),
        (Section::MemTopology, topology(kernel, false)),
        (Section::Connectivity, connectivity(kernel, false)),
        (Section::IpLayout, ip_layout()),
        (Section::ClockFreqTopology, clocks(kernel)),
        (Section::UserMetadata, release),
        (Section::GroupTopology, topology(kernel, true)),
        (Section::GroupConnectivity, connectivity(kernel, true)),
    ];
    let mut headers = Vec::new();
    let mut body = Vec::new();
    let first = (SECTIONS_AT + SECTION_BYTES * sections.len()).next_multiple_of(8);
    for (kind, data) in &sections {
        let at = (first + body.len()) as u64;
        let size = data.len() as u64;
        let kind_field = (*kind as u32).to_le_bytes();
        put(&mut headers, &[&kind_field, &field::<16>(""), &[0; 4], &at.to_le_bytes(), &size.to_le_bytes()]);
        body.extend_from_slice(data);
        body.resize(body.len().next_multiple_of(8), 0);
    }
    let length = (first + body.len()) as u64;
    let mut out = MAGIC.to_vec();
    put(&mut out, &[&(-1i32).to_le_bytes(), &[0xff; 28], &[0xff; 256], &0u64.to_le_bytes()]);
    debug_assert_eq!(out.len(), HEADER_AT);
    let vbnv = format!("{}_base_1", kernel.board.vbnv_prefix);
    put(&mut out, &[&length.to_le_bytes(), &[0; 16], &[0, 0, 2, 13], &MODE_FLAT.to_le_bytes(), &[0; 2]]);
    put(&mut out, &[&[0; 16], &field::<64>(&vbnv), &uuid(kernel), &[0; 16]]);
    put(&mut out, &[&(sections.len() as u32).to_le_bytes(), &[0; 4]]);
    debug_assert_eq!(out.len(), SECTIONS_AT);
    out.extend(headers);
    out.resize(first, 0);
    out.extend(body);
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::xclbin::Xclbin;

    #[test]
    fn the_reader_gets_back_what_the_writer_wrote() {
        for k in Kernel::all() {
            let x = Xclbin::parse(&emulation(&k)).unwrap();
            assert_eq!(x.memories.len(), k.board.memories.len());
            for (i, (m, want)) in x.memories.iter().zip(&k.board.memories).enumerate() {
                assert_eq!((&m.tag, m.base, m.size_bytes), (&want.tag, want.base, want.size_bytes));
                assert_eq!(m.used, used(&k, i), "{}", m.tag);
            }
            assert_eq!(x.cus[0].name, "flightvlm:flightvlm_1");
            assert_eq!(x.clocks_mhz, [k.config.clock_mhz]);
            assert_eq!(Release::from_toml(&x.user_metadata.unwrap()), Ok(Release::of(&k)));
        }
    }

    #[test]
    fn a_port_over_several_banks_gets_a_group() {
        let k = Kernel::of(&crate::config::HwConfig::sim()).unwrap();
        let x = Xclbin::parse(&emulation(&k)).unwrap();
        let group = x.groups.last().unwrap();
        assert_eq!((group.tag.as_str(), group.base, group.size_bytes), ("MBG[0:3]", 0, 1 << 30));
        let channel = Kernel::port_arg(1) as u32;
        let to = |c: &[super::super::Connection]| {
            c.iter().filter(|c| c.arg == channel).map(|c| c.memory).collect::<Vec<_>>()
        };
        assert_eq!(to(&x.connections), [0, 1, 2, 3]);
        assert_eq!(to(&x.group_connections), [34]);
    }

    #[test]
    fn builds_have_names_of_their_own() {
        let ids: std::collections::HashSet<_> = Kernel::all().iter().map(uuid).collect();
        assert_eq!(ids.len(), Kernel::all().len());
    }

    #[test]
    fn damage_is_an_error_never_a_panic() {
        let good = emulation(&Kernel::of(&crate::config::HwConfig::sim()).unwrap());
        for len in (0..good.len()).step_by(7) {
            let mut cut = good[..len].to_vec();
            assert!(Xclbin::parse(&cut).is_err(), "{len}");
            if len > HEADER_AT + 8 {
                cut[HEADER_AT..HEADER_AT + 8].copy_from_slice(&(len as u64).to_le_bytes());
                let _ = Xclbin::parse(&cut);
            }
        }
        for at in (0..good.len()).step_by(3) {
            let mut bad = good.clone();
            bad[at] ^= 0xff;
            let _ = Xclbin::parse(&bad);
        }
    }
}
