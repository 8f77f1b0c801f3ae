//! The descriptions in front of the data.

use std::collections::BTreeSet;

use serde_json::{Map, Number, Value};

use super::blocks::Format;
use super::MAGIC;

/// Longest string accepted; a chat template is a few thousand characters.
const STRING_BYTES_MAX: u64 = 1 << 24;
const ALIGNMENT_DEFAULT: u64 = 32;
/// Dimensions that the format allows.
const DIMENSIONS_MAX: u32 = 4;

/// A tensor, its extent checked against the file's length.
#[derive(Clone, Debug)]
pub(super) struct TensorInfo {
    pub name: String,
    /// Slowest extent first, as in Hugging Face files.
    pub shape: Vec<usize>,
    pub format: Format,
    /// Byte range in the file.
    pub begin: usize,
    pub end: usize,
}

impl TensorInfo {
    /// Elements.
    pub fn len(&self) -> usize {
        self.shape.iter().product()
    }

    /// Elements of a row, the fastest extent.
    pub fn row_len(&self) -> usize {
        *self.shape.last().expect("invariant: tensors have an extent")
    }
}

/// A position in the file; every read is checked.
struct Cursor<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Cursor<'a> {
    fn take(&mut self, count: u64) -> Result<&'a [u8], String> {
        let rest = &self.bytes[self.at..];
        let count = usize::try_from(count).ok().filter(|count| *count <= rest.len());
        let count =
            count.ok_or_else(|| format!("an end inside the descriptions, at byte {}", self.bytes.len()))?;
        self.at += count;
        Ok(&rest[..count])
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], String> {
        Ok(self.take(N as u64)?.try_into().expect("invariant: take returns what was asked for"))
    }

    fn u32(&mut self) -> Result<u32, String> {
        Ok(u32::from_le_bytes(self.array()?))
    }

    fn u64(&mut self) -> Result<u64, String> {
        Ok(u64::from_le_bytes(self.array()?))
    }

    fn text(&mut self) -> Result<String, String> {
        let length = self.u64()?;
        if length > STRING_BYTES_MAX {
            return Err(format!("a string of {length} bytes at byte {}", self.at));
        }
        let at = self.at;
        let bytes = self.take(length)?.to_vec();
        String::from_utf8(bytes).map_err(|_| format!("a string that is not UTF-8 at byte {at}"))
    }

    fn value(&mut self, kind: u32) -> Result<Value, String> {
        let float = |x: f64| Number::from_f64(x).map(Value::Number).ok_or_else(|| format!("the number {x}"));
        Ok(match kind {
            0 => u8::from_le_bytes(self.array()?).into(),
            1 => i8::from_le_bytes(self.array()?).into(),
            2 => u16::from_le_bytes(self.array()?).into(),
            3 => i16::from_le_bytes(self.array()?).into(),
            4 => self.u32()?.into(),
            5 => i32::from_le_bytes(self.array()?).into(),
            6 => float(f64::from(f32::from_le_bytes(self.array()?)))?,
            7 => match self.array::<1>()? {
                [flag @ (0 | 1)] => (flag == 1).into(),
                [other] => return Err(format!("the truth value {other}")),
            },
            8 => self.text()?.into(),
            10 => self.u64()?.into(),
            11 => i64::from_le_bytes(self.array()?).into(),
            12 => float(f64::from_le_bytes(self.array()?))?,
            other => return Err(format!("a value of unknown type {other} at byte {}", self.at)),
        })
    }

    fn any_value(&mut self) -> Result<Value, String> {
        const ARRAY: u32 = 9;
        let kind = self.u32()?;
        if kind != ARRAY {
            return self.value(kind);
        }
        let kind = self.u32()?;
        let count = self.u64()?;
        let mut list = Vec::new();
        for _ in 0..count {
            list.push(self.value(kind)?);
        }
        Ok(Value::Array(list))
    }
}

/// Key-value pairs and tensors, or what is wrong with the file.
pub(super) fn parse(bytes: &[u8]) -> Result<(Map<String, Value>, Vec<TensorInfo>), String> {
    let mut cursor = Cursor { bytes, at: 0 };
    if cursor.array::<4>()? != *MAGIC {
        return Err("a file that does not start with GGUF".into());
    }
    let version = cursor.u32()?;
    // Version 1 had shorter lengths; a big-endian file shows as a huge number.
    if !matches!(version, 2 | 3) {
        return Err(format!("version {version}; versions 2 and 3 are read"));
    }
    let (tensor_count, key_count) = (cursor.u64()?, cursor.u64()?);
    let mut keys = Map::new();
    for _ in 0..key_count {
        let key = cursor.text()?;
        let value = cursor.any_value().map_err(|e| format!("{e}, under the key {key:?}"))?;
        if keys.insert(key.clone(), value).is_some() {
            return Err(format!("the key {key:?} twice"));
        }
    }
    let mut raw = Vec::new();
    for _ in 0..tensor_count {
        raw.push(description(&mut cursor)?);
    }
    let alignment = match keys.get("general.alignment") {
        None => ALIGNMENT_DEFAULT,
        Some(value) => value.as_u64().filter(|a| a.is_power_of_two()).ok_or("no sound general.alignment")?,
    };
    let data = (cursor.at as u64).checked_next_multiple_of(alignment).ok_or("an impossible alignment")?;
    let mut names = BTreeSet::new();
    let mut tensors = Vec::new();
    for (tensor, offset) in raw {
        if !names.insert(tensor.name.clone()) {
            return Err(format!("the tensor {:?} twice", tensor.name));
        }
        tensors.push(locate(tensor, offset, data, alignment, bytes.len() as u64)?);
    }
    Ok((keys, tensors))
}

/// A tensor without its place, and its offset.
fn description(cursor: &mut Cursor<'_>) -> Result<(TensorInfo, u64), String> {
    let name = cursor.text()?;
    let dimensions = cursor.u32()?;
    if !(1..=DIMENSIONS_MAX).contains(&dimensions) {
        return Err(format!("tensor {name:?} of {dimensions} dimensions"));
    }
    let mut shape = Vec::new();
    for _ in 0..dimensions {
        let extent = usize::try_from(cursor.u64()?).ok().filter(|extent| *extent > 0);
        shape.push(extent.ok_or_else(|| format!("tensor {name:?} without elements"))?);
    }
    shape.reverse();
    let code = cursor.u32()?;
    let format = Format::from_code(code)
        .ok_or_else(|| format!("tensor {name:?} in the block format {code}; {} are read", Format::names()))?;
    Ok((TensorInfo { name, shape, format, begin: 0, end: 0 }, cursor.u64()?))
}

fn locate(
    mut tensor: TensorInfo,
    offset: u64,
    data: u64,
    alignment: u64,
    file_bytes: u64,
) -> Result<TensorInfo, String> {
    let name = &tensor.name;
    let len = tensor.shape.iter().try_fold(1usize, |len, extent| len.checked_mul(*extent));
    let len = len
        .filter(|len| *len <= usize::MAX / 64)
        .ok_or_else(|| format!("tensor {name:?} of no possible size"))?;
    if !tensor.row_len().is_multiple_of(tensor.format.block_len()) {
        return Err(format!("tensor {name:?} with rows of {} values", tensor.row_len()));
    }
    let begin = data.checked_add(offset).filter(|_| offset.is_multiple_of(alignment));
    let end = begin.and_then(|begin| begin.checked_add(tensor.format.bytes(len) as u64));
    match (begin, end) {
        (Some(begin), Some(end)) if end <= file_bytes => {
            (tensor.begin, tensor.end) = (begin as usize, end as usize);
            Ok(tensor)
        }
        _ => Err(format!("tensor {name:?} outside the file's {file_bytes} bytes, or not aligned")),
    }
}
