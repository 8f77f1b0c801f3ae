//! The picture tensors of the `logits` command, as each family's Hugging Face processor returns them.
//!
//! * `pixel_values` `[..., 3, H, W]`: tiles. All-zero tiles of a five-dimensional tensor are padding.
//! * `pixel_values_videos` `[n, frames, 3, H, W]`: videos (Video-LLaVA); with `video_grid_thw` `[n, 3]` as pictures
//!   with `image_grid_thw`, `second_per_grid_ts` `[n]` beside them (Qwen2.5-VL).
//! * `image_sizes` `[n, 2]` beside it: how the tiles of each picture are arranged (LLaVA-NeXT).
//! * `[patches, values]` or `[1, patches, values]` alone: the patches of one picture (Fuyu).
//! * `image_grid_thw` `[n, 3]`: `pixel_values` is `[patches, values]`, block by block of patches that become a
//!   token (Qwen2-VL).

use super::inputs::integers;
use crate::diag::Diagnostic;
use crate::graph::{Arrange, ModelSpec, Picture, PositionTable, Tile, VisionKind, VisionSpec};
use crate::import::{to_f32, TensorRef};

const HELP: &str = "prepare the pictures with the model's own image processor";

fn fault(name: &str, expected: impl Into<String>, got: impl Into<String>) -> Diagnostic {
    Diagnostic::new(name, expected, got, HELP)
}

/// Reads the pictures of a file whose tensors `find` gives.
pub(super) fn read(
    find: &dyn Fn(&str) -> Option<TensorRef>,
    spec: &ModelSpec,
) -> Result<Vec<Picture>, Diagnostic> {
    // Fuyu's and Video-LLaVA's processors have older names.
    let found = ["pixel_values", "image_patches", "pixel_values_images"]
        .into_iter()
        .find_map(|name| Some((name, find(name)?)));
    let Some((name, tensor)) = found else { return Ok(Vec::new()) };
    let shape = &tensor.entry.shape;
    let Some(vision) = &spec.vision else {
        return Err(fault(name, "no pictures, as the model is text-only", format!("{shape:?}")));
    };
    let values = to_f32(&tensor).ok_or_else(|| fault(name, "float32 values", &tensor.entry.dtype_name))?;
    if let Some(index) = values.iter().position(|value| !value.is_finite()) {
        return Err(fault(name, "finite values", format!("{} at {index}", values[index])));
    }
    if vision.positions == PositionTable::Rotary {
        let tiles = rows_in_order(find, vision, Grids::of_pictures(name), shape, &values)?;
        return Ok(tiles.into_iter().map(|tiles| Picture::of_tiles(vision, tiles)).collect());
    }
    if vision.kind == VisionKind::Patches {
        return patches_of_one(vision, shape, &values);
    }
    let size = vision.image_size;
    let (&[.., 3, height, width], 4 | 5) = (&shape[..], shape.len()) else {
        let expected = format!("shape [n, 3, {size}, {size}] or [1, n, 3, {size}, {size}]");
        return Err(fault(name, expected, format!("{shape:?}")));
    };
    if !vision.any_grid && (height, width) != (size, size) {
        let expected = format!("shape [n, 3, {size}, {size}]");
        return Err(fault(name, expected, format!("{shape:?}")));
    }
    vision.check_grid([height / vision.patch, width / vision.patch])?;
    let padded = shape.len() == 5;
    let planes = values.chunks_exact(3 * height * width);
    let tiles = || planes.clone().filter(|p| !padded || p.iter().any(|v| *v != 0.0));
    let cut = |planes: &[f32]| vision.tile(planes, [height, width]);
    let Arrange::AnyResolution { most_tiles, .. } = &vision.arrange else {
        return Ok(tiles().map(|p| Picture::of_tiles(vision, vec![cut(p)])).collect());
    };
    let sizes = find("image_sizes").as_ref().and_then(integers).unwrap_or_default();
    let count = if padded { shape[0] } else { 1 };
    if sizes.len() != 2 * count {
        let expected = format!("image_sizes of {count} pictures (height, width)");
        return Err(fault("image_sizes", expected, format!("{} numbers", sizes.len())));
    }
    let together = find("batch_num_images").as_ref().and_then(integers).unwrap_or_default();
    let thumbnails = most_tiles.is_some() && together.iter().any(|n| *n > 1);
    let per_picture = planes.len() / count.max(1);
    let planes: Vec<&[f32]> = planes.collect();
    let groups = planes.chunks(per_picture.max(1)).zip(sizes.chunks_exact(2));
    let arranged = |(group, size): (&[&[f32]], &[i64])| {
        let size = [size[0], size[1]].map(|n| n.clamp(0, 1 << 20) as usize);
        let used = if thumbnails { 1 } else { vision.tiles_of_picture(size).min(group.len()) };
        Picture::arranged(vision, group[..used].iter().map(|p| cut(p)).collect(), size)
    };
    groups.map(arranged).collect()
}

/// Videos.
pub(super) fn read_videos(
    find: &dyn Fn(&str) -> Option<TensorRef>,
    spec: &ModelSpec,
) -> Result<Vec<Picture>, Diagnostic> {
    let name = "pixel_values_videos";
    let Some(tensor) = find(name) else { return Ok(Vec::new()) };
    let shape = &tensor.entry.shape;
    let Some(video) = &spec.video else {
        let expected = format!("no videos, as {} takes none", spec.architecture);
        return Err(fault(name, expected, format!("{shape:?}")));
    };
    let size = video.vision.image_size;
    let values = to_f32(&tensor).ok_or_else(|| fault(name, "float32 values", &tensor.entry.dtype_name))?;
    if let Some(index) = values.iter().position(|value| !value.is_finite()) {
        return Err(fault(name, "finite values", format!("{} at {index}", values[index])));
    }
    if video.vision.positions == PositionTable::Rotary {
        let tiles = rows_in_order(find, &video.vision, Grids::OF_VIDEOS, shape, &values)?;
        let seconds = seconds(find, tiles.len())?;
        let videos = tiles.into_iter().zip(seconds);
        return Ok(videos.map(|(tiles, seconds)| Picture::of_video(&video.vision, tiles, seconds)).collect());
    }
    match *shape.as_slice() {
        [_, frames, 3, height, width] if frames > 0 && (height, width) == (size, size) => {
            let frame = |pixels: &[f32]| video.vision.tile(pixels, [size; 2]);
            let of = |values: &[f32]| values.chunks_exact(3 * size * size).map(frame).collect();
            let videos = values.chunks_exact(frames * 3 * size * size);
            Ok(videos.map(|values| Picture::of_video(&video.vision, of(values), 1.0)).collect())
        }
        _ => Err(fault(name, format!("shape [n, frames, 3, {size}, {size}]"), format!("{shape:?}"))),
    }
}

/// Seconds from one tile to the next of each of `count` videos; one where nothing is said, as in Hugging Face.
fn seconds(find: &dyn Fn(&str) -> Option<TensorRef>, count: usize) -> Result<Vec<f32>, Diagnostic> {
    let name = "second_per_grid_ts";
    let Some(tensor) = find(name) else { return Ok(vec![1.0; count]) };
    let values = to_f32(&tensor).unwrap_or_default();
    let sound = |seconds: &f32| seconds.is_finite() && *seconds >= 0.0;
    if values.len() == count && values.iter().all(sound) {
        return Ok(values);
    }
    let expected = format!("{count} float32 numbers, one for each video, 0 or more");
    Err(fault(name, expected, format!("{} of shape {:?}", tensor.entry.dtype_name, tensor.entry.shape)))
}

/// Patches of one picture; how many are in a line, the prompt says.
fn patches_of_one(vision: &VisionSpec, shape: &[usize], values: &[f32]) -> Result<Vec<Picture>, Diagnostic> {
    match *shape {
        [patches, cols] | [1, patches, cols] if cols == vision.pixel_cols => {
            let grid = [1, patches];
            vision.check_grid(grid)?;
            Ok(vec![Picture::of_tiles(vision, vec![Tile { grid, rows: values.to_vec() }])])
        }
        _ => {
            let expected = format!("shape [patches, {}] or [1, patches, {0}]", vision.pixel_cols);
            Err(fault("pixel_values", expected, format!("{shape:?}")))
        }
    }
}

/// The tensors of pictures or videos whose patches stand one behind the other.
struct Grids {
    /// Patches.
    values: &'static str,
    /// Times, rows and columns of each.
    grids: &'static str,
    /// Several times are accepted.
    moves: bool,
}

impl Grids {
    const OF_VIDEOS: Grids = Grids { values: "pixel_values_videos", grids: "video_grid_thw", moves: true };

    /// `values`: the name by which the patches were found.
    fn of_pictures(values: &'static str) -> Grids {
        Grids { values, grids: "image_grid_thw", moves: false }
    }
}

/// Tiles of all pictures or videos, from patches that stand one behind the other, block by block.
fn rows_in_order(
    find: &dyn Fn(&str) -> Option<TensorRef>,
    vision: &VisionSpec,
    names: Grids,
    shape: &[usize],
    values: &[f32],
) -> Result<Vec<Vec<Tile>>, Diagnostic> {
    let grids = find(names.grids).as_ref().and_then(integers).unwrap_or_default();
    let mut rest = values;
    let mut shown = Vec::new();
    for triple in grids.chunks(3) {
        let (times, grid) = match *triple {
            [times, height, width] if times == 1 || (names.moves && times > 1) => (times, [height, width]),
            _ => {
                let times = if names.moves { "times" } else { "1" };
                let expected = format!("[{times}, height, width] for each");
                return Err(fault(names.grids, expected, format!("{triple:?}")));
            }
        };
        let grid = grid.map(|n| usize::try_from(n).unwrap_or(0).min(1 << 16));
        vision.check_grid(grid)?;
        let mut tiles = Vec::new();
        for _ in 0..times {
            let Some((rows, more)) = rest.split_at_checked(grid[0] * grid[1] * vision.pixel_cols) else {
                break;
            };
            tiles.push(Tile { grid, rows: vision.in_tower_order(grid, rows) });
            rest = more;
        }
        if tiles.len() as i64 != times {
            break;
        }
        shown.push(tiles);
    }
    let whole = 3 * shown.len() == grids.len() && rest.is_empty() && !shown.is_empty();
    if shape.len() == 2 && shape[1] == vision.pixel_cols && whole {
        return Ok(shown);
    }
    let expected = format!("shape [patches, {}], as many as {} says", vision.pixel_cols, names.grids);
    Err(fault(names.values, expected, format!("{shape:?}, and grids {grids:?}")))
}
