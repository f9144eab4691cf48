//! What looks at a request's body on its way: whether it is the one that was signed.
//!
//! In: the pieces of a body, in their order. Out: what of them may pass, one piece late, so that the end of a body that
//! is not what was said of it never arrives, and no receiver takes what came before for a whole.

use std::fmt;

use aws_lc_rs::digest;
use bytes::Bytes;

use super::body::Broken;

/// Something that looks at a body, and may change its framing. Trailers do not pass it.
pub trait Sieve: fmt::Debug {
    /// Takes a piece, and gives what may pass.
    ///
    /// # Errors
    /// Nothing more may pass.
    fn take(&mut self, piece: Bytes) -> Result<Bytes, Broken>;

    /// The body has come to its end; gives the rest.
    ///
    /// # Errors
    /// As [`Sieve::take`]. What was held back until then never passes.
    fn end(&mut self) -> Result<Bytes, Broken>;

    /// How many bytes will pass, of a body that comes with so many.
    fn length(&self, coming: Option<u64>) -> Option<u64>;
}

/// Compares the hash of all that came before it lets the last piece pass.
pub(super) struct Sum {
    context: digest::Context,
    expected: [u8; 32],
    held: Bytes,
}

impl Sum {
    pub(super) fn new(expected: [u8; 32]) -> Self {
        Self { context: digest::Context::new(&digest::SHA256), expected, held: Bytes::new() }
    }
}

impl Sieve for Sum {
    fn take(&mut self, piece: Bytes) -> Result<Bytes, Broken> {
        if piece.is_empty() {
            return Ok(piece);
        }
        self.context.update(&piece);
        Ok(std::mem::replace(&mut self.held, piece))
    }

    fn end(&mut self) -> Result<Bytes, Broken> {
        let fits = self.context.clone().finish().as_ref() == self.expected;
        if fits { Ok(std::mem::take(&mut self.held)) } else { Err(Broken::Other) }
    }

    fn length(&self, coming: Option<u64>) -> Option<u64> {
        coming
    }
}

impl fmt::Debug for Sum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sum").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sifted(pieces: &[&'static [u8]], of: &[u8]) -> (Vec<u8>, Result<Bytes, Broken>) {
        let mut expected = [0; 32];
        expected.copy_from_slice(digest::digest(&digest::SHA256, of).as_ref());
        let mut sum = Sum::new(expected);
        let passed = pieces.iter().flat_map(|piece| sum.take(Bytes::from_static(piece)).unwrap()).collect();
        (passed, sum.end())
    }

    #[test]
    fn the_body_that_was_signed_passes_whole() {
        assert_eq!(
            sifted(&[b"up", b"", b"load"], b"upload"),
            (b"up".to_vec(), Ok(Bytes::from_static(b"load")))
        );
        assert_eq!(sifted(&[], b""), (Vec::new(), Ok(Bytes::new())));
    }

    #[test]
    fn of_another_the_last_piece_never_passes() {
        assert_eq!(sifted(&[b"up", b"load"], b"uplosd"), (b"up".to_vec(), Err(Broken::Other)));
        assert_eq!(sifted(&[b"upload"], b"upload and more"), (Vec::new(), Err(Broken::Other)));
    }
}
