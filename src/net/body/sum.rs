//! A body that must have a certain SHA-256: it is passed on one piece behind what comes, and its last piece only when the
//! whole was right.

use std::fmt;

use aws_lc_rs::digest;
use bytes::Bytes;
use hyper::body::Frame;

use super::Broken;

/// The hash of what has come, which is compared before the last piece is passed on.
pub(super) struct Sum {
    /// None once it was compared.
    context: Option<digest::Context>,
    expected: [u8; 32],
    held: Option<Bytes>,
}

impl Sum {
    pub(super) fn expecting(expected: [u8; 32]) -> Self {
        Self { context: Some(digest::Context::new(&digest::SHA256)), expected, held: None }
    }

    /// Whether it was compared, and nothing is held back.
    pub(super) fn is_over(&self) -> bool {
        self.context.is_none() && self.held.is_none()
    }

    /// Takes a piece in, and gives the one before.
    pub(super) fn next(&mut self, piece: Bytes) -> Option<Bytes> {
        if let Some(context) = &mut self.context {
            context.update(&piece);
        }
        self.held.replace(piece)
    }

    /// The last piece, when the whole is right.
    pub(super) fn last(&mut self) -> Option<Result<Frame<Bytes>, Broken>> {
        let Some(context) = self.context.take() else {
            return self.held.take().map(|last| Ok(Frame::data(last)));
        };
        if context.finish().as_ref() != self.expected {
            self.held = None;
            return Some(Err(Broken::Other));
        }
        self.held.take().map(|last| Ok(Frame::data(last)))
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

    fn passed(pieces: &[&'static str], of: &str) -> (String, Option<Result<(), Broken>>) {
        let mut expected = [0; 32];
        expected.copy_from_slice(digest::digest(&digest::SHA256, of.as_bytes()).as_ref());
        let mut sum = Sum::expecting(expected);
        let before: Vec<_> =
            pieces.iter().filter_map(|piece| sum.next(Bytes::from_static(piece.as_bytes()))).collect();
        let last = sum.last();
        let mut text = String::from_utf8(before.concat()).unwrap();
        let last = last.map(|last| {
            last.map(|frame| text.push_str(std::str::from_utf8(frame.data_ref().unwrap()).unwrap()))
        });
        assert!(sum.is_over() && sum.last().is_none());
        (text, last)
    }

    #[test]
    fn the_right_body_passes_whole_and_of_a_wrong_one_the_last_piece_is_missing() {
        assert_eq!(passed(&["ab", "cd"], "abcd"), ("abcd".to_owned(), Some(Ok(()))));
        assert_eq!(passed(&["ab", "cd"], "abce"), ("ab".to_owned(), Some(Err(Broken::Other))));
        assert_eq!(passed(&[], ""), (String::new(), None));
        assert_eq!(passed(&["ab"], ""), (String::new(), Some(Err(Broken::Other))));
    }
}
