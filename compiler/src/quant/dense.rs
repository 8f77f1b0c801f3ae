//! Matrix products on parts of row-major matrices, each on the calling thread alone, so that a
//! caller's own division of work decides the result and not the number of threads.

use gemm::Parallelism;

/// A part of a row-major matrix, or of its transpose.
#[derive(Clone, Copy)]
pub(super) struct Part<'a, T> {
    data: &'a [T],
    rows: usize,
    cols: usize,
    row_stride: usize,
    col_stride: usize,
}

impl<'a, T> Part<'a, T> {
    /// `[rows, cols]` with `stride` elements from row to row, starting at `data[0]`.
    pub fn new(data: &'a [T], rows: usize, cols: usize, stride: usize) -> Self {
        assert!(rows == 0 || cols == 0 || (rows - 1) * stride + cols <= data.len(), "the part is inside");
        Part { data, rows, cols, row_stride: stride, col_stride: 1 }
    }

    /// Rows and columns exchanged.
    pub fn transposed(self) -> Self {
        Part {
            data: self.data,
            rows: self.cols,
            cols: self.rows,
            row_stride: self.col_stride,
            col_stride: self.row_stride,
        }
    }
}

/// `c += factor · a b`, where `c` has `stride` elements from row to row.
pub(super) fn add_product<T: Copy + 'static + From<f32>>(
    c: &mut [T],
    stride: usize,
    factor: f32,
    a: Part<'_, T>,
    b: Part<'_, T>,
) {
    let (rows, inner, cols) = (a.rows, a.cols, b.cols);
    assert_eq!(inner, b.rows, "inner extents");
    if rows == 0 || cols == 0 || inner == 0 {
        return;
    }
    assert!((rows - 1) * stride + cols <= c.len(), "the product fits");
    // SAFETY: `Part::new` and the assertion above checked that every element addressed through these
    // extents and strides is inside its slice; `c` is borrowed mutably and cannot alias.
    #[allow(unsafe_code, reason = "the gemm crate has a pointer interface")]
    unsafe {
        gemm::gemm(
            rows,
            cols,
            inner,
            c.as_mut_ptr(),
            1,
            stride as isize,
            true,
            a.data.as_ptr(),
            a.col_stride as isize,
            a.row_stride as isize,
            b.data.as_ptr(),
            b.col_stride as isize,
            b.row_stride as isize,
            T::from(1.0),
            T::from(factor),
            false,
            false,
            false,
            Parallelism::None,
        );
    }
}
