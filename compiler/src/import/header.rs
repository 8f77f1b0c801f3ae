//! Strict reading of a safetensors header: nothing in it is believed before it is checked.
//!
//! Layout: u64 little-endian header length, JSON object `name -> {dtype, shape, data_offsets}`, data.
//! Accepted only when the tensors tile the data section without gap or overlap and each size equals
//! shape times element size.

use std::fmt;

use serde::de::{Deserializer, IgnoredAny, MapAccess, Visitor};
use serde::Deserialize;

/// The longest header accepted, as in the reference implementation.
const HEADER_BYTES_MAX: u64 = 100_000_000;

/// Element types that weights and inputs may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dtype {
    /// IEEE binary32.
    F32,
    /// IEEE binary16.
    F16,
    /// bfloat16.
    Bf16,
    /// 64-bit integer (token ids).
    I64,
    /// 32-bit integer (token ids).
    I32,
}

impl Dtype {
    /// Bytes of one element.
    pub fn size(self) -> u64 {
        match self {
            Dtype::F16 | Dtype::Bf16 => 2,
            Dtype::F32 | Dtype::I32 => 4,
            Dtype::I64 => 8,
        }
    }

    /// True for the types a weight may have.
    pub fn is_float(self) -> bool {
        matches!(self, Dtype::F32 | Dtype::F16 | Dtype::Bf16)
    }

    fn parse(name: &str) -> Option<Self> {
        Some(match name {
            "F32" => Dtype::F32,
            "F16" => Dtype::F16,
            "BF16" => Dtype::Bf16,
            "I64" => Dtype::I64,
            "I32" => Dtype::I32,
            _ => return None,
        })
    }
}

/// Size of any dtype that the format knows, so that foreign tensors can be listed and skipped.
fn element_size(name: &str) -> Option<u64> {
    Some(match name {
        "BOOL" | "U8" | "I8" | "F8_E5M2" | "F8_E4M3" => 1,
        "I16" | "U16" => 2,
        "U32" => 4,
        "U64" | "F64" => 8,
        other => return Dtype::parse(other).map(Dtype::size),
    })
}

/// One tensor of a file, its byte range checked against the file's length.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TensorEntry {
    /// Name in the file.
    pub name: String,
    /// `None` for element types this project does not read.
    pub dtype: Option<Dtype>,
    /// Element type as spelled in the file.
    pub dtype_name: String,
    /// Shape in the file.
    pub shape: Vec<usize>,
    /// First byte, counted from the start of the file.
    pub begin: usize,
    /// One past the last byte.
    pub end: usize,
}

#[derive(Deserialize)]
struct RawEntry {
    dtype: String,
    shape: Vec<u64>,
    data_offsets: (u64, u64),
}

/// Header fields in file order, duplicates kept so that they can be reported.
struct RawHeader(Vec<(String, RawEntry)>);

impl<'de> Deserialize<'de> for RawHeader {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct HeaderVisitor;
        impl<'de> Visitor<'de> for HeaderVisitor {
            type Value = RawHeader;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "an object of tensors")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<RawHeader, A::Error> {
                let mut entries = Vec::new();
                while let Some(name) = map.next_key::<String>()? {
                    if name == "__metadata__" {
                        map.next_value::<IgnoredAny>()?;
                    } else {
                        entries.push((name, map.next_value::<RawEntry>()?));
                    }
                }
                Ok(RawHeader(entries))
            }
        }
        deserializer.deserialize_map(HeaderVisitor)
    }
}

/// Parses and validates the header of a whole file. The error is one sentence without the file name.
pub fn parse(file: &[u8]) -> Result<Vec<TensorEntry>, String> {
    let Some((length, rest)) = file.split_first_chunk::<8>() else {
        return Err(format!("the file has {} bytes, too few for a header", file.len()));
    };
    let length = u64::from_le_bytes(*length);
    if length > HEADER_BYTES_MAX || length > rest.len() as u64 {
        return Err(format!(
            "the header claims {length} bytes, the file has {} after the length field",
            rest.len()
        ));
    }
    let (json, data) = rest.split_at(length as usize);
    let raw: RawHeader = serde_json::from_slice(json).map_err(|e| format!("the header is not valid: {e}"))?;
    let base = file.len() - data.len();
    let mut entries = Vec::with_capacity(raw.0.len());
    for (name, entry) in raw.0 {
        entries.push(check_entry(name, entry, base, data.len() as u64)?);
    }
    check_tiling(&entries, base, file.len())?;
    check_names(&entries)?;
    Ok(entries)
}

fn check_entry(name: String, raw: RawEntry, base: usize, data_bytes: u64) -> Result<TensorEntry, String> {
    let (begin, end) = raw.data_offsets;
    if begin > end || end > data_bytes {
        return Err(format!(
            "tensor {name:?} claims bytes {begin}..{end}, the data section has {data_bytes}; \
             the file is truncated or damaged"
        ));
    }
    let size = element_size(&raw.dtype)
        .ok_or_else(|| format!("tensor {name:?} has the unknown element type {:?}", raw.dtype))?;
    let bytes = raw.shape.iter().try_fold(size, |bytes, &dim| bytes.checked_mul(dim));
    if bytes != Some(end - begin) {
        return Err(format!(
            "tensor {name:?} of shape {:?} and type {} does not fill its {} bytes",
            raw.shape,
            raw.dtype,
            end - begin
        ));
    }
    let shape = raw.shape.iter().map(|&dim| usize::try_from(dim)).collect::<Result<Vec<_>, _>>();
    let shape = shape.map_err(|_| format!("tensor {name:?} is too large for this machine"))?;
    Ok(TensorEntry {
        dtype: Dtype::parse(&raw.dtype),
        dtype_name: raw.dtype,
        shape,
        begin: base + begin as usize,
        end: base + end as usize,
        name,
    })
}

fn check_tiling(entries: &[TensorEntry], base: usize, file_bytes: usize) -> Result<(), String> {
    let mut order: Vec<&TensorEntry> = entries.iter().collect();
    order.sort_by_key(|entry| (entry.begin, entry.end));
    let mut next = base;
    for entry in order {
        if entry.begin != next {
            let what = if entry.begin < next { "overlaps another tensor" } else { "leaves a gap" };
            return Err(format!("tensor {:?} {what} at data byte {}", entry.name, entry.begin - base));
        }
        next = entry.end;
    }
    if next != file_bytes {
        return Err(format!("{} bytes at the end belong to no tensor", file_bytes - next));
    }
    Ok(())
}

fn check_names(entries: &[TensorEntry]) -> Result<(), String> {
    let mut names: Vec<&str> = entries.iter().map(|entry| entry.name.as_str()).collect();
    names.sort_unstable();
    match names.windows(2).find(|pair| pair[0] == pair[1]) {
        Some(pair) => Err(format!("tensor {:?} is listed twice", pair[0])),
        None => Ok(()),
    }
}
