//! Bodies that are signed piece by piece (`STREAMING-AWS4-HMAC-SHA256-PAYLOAD`, with a trailer or without one): the
//! framing `aws-chunked` with a signature in each chunk, each made from the one before.
//!
//! Comes in: the good signature of the head, and the body in whatever pieces it arrives. Goes out: what the chunks
//! hold, each once its signature has been recomputed; the last one not before the end of the body has been verified, so
//! that a body that was changed or cut off never comes to its end. Trailers are verified and dropped.

use bytes::{Bytes, BytesMut};

use super::hex;
use super::sigv4::Verified;
use crate::token::random::{equal, sha256};

/// The body is not what was signed, or not framed like one of these.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the body's chunks are not those that were signed")]
pub struct BadChunks;

/// A body on its way.
pub struct Chunks {
    head: Verified,
    has_trailer: bool,
    /// How many bytes the chunks still have to hold.
    left: u64,
    /// What has arrived and was not taken apart yet: less than a chunk.
    waiting: BytesMut,
    at: At,
    /// The last chunk that was good.
    held: Bytes,
}

/// What is to come next.
enum At {
    /// A chunk's size and signature.
    Head,
    /// So many bytes, and the end of a line.
    Data { size: usize, signature: String },
    /// Lines up to an empty one.
    Trailer(String),
    /// Nothing.
    End,
}

impl Chunks {
    /// The body behind `head`, which holds `length` bytes (`x-amz-decoded-content-length`).
    #[must_use]
    pub fn new(head: Verified, length: u64, has_trailer: bool) -> Self {
        let (waiting, held) = (BytesMut::new(), Bytes::new());
        Self { head, has_trailer, left: length, waiting, at: At::Head, held }
    }

    /// Takes a piece of the body and gives what may pass.
    ///
    /// # Errors
    /// [`BadChunks`]; nothing more may pass then.
    pub fn take(&mut self, piece: &[u8]) -> Result<Bytes, BadChunks> {
        self.waiting.extend_from_slice(piece);
        let mut passing = Bytes::new();
        while let Some(good) = self.step()? {
            // Chunks are large: that two become ready by one piece is rare, and then they are joined.
            passing = if passing.is_empty() { good } else { [passing, good].concat().into() };
        }
        Ok(passing)
    }

    /// The body has ended; gives the rest of it.
    ///
    /// # Errors
    /// It has not come to its own end.
    pub fn end(&mut self) -> Result<Bytes, BadChunks> {
        let ended = matches!(self.at, At::End) && self.waiting.is_empty() && self.left == 0;
        if ended { Ok(std::mem::take(&mut self.held)) } else { Err(BadChunks) }
    }

    /// Takes one part of what waits, if it is there as a whole.
    fn step(&mut self) -> Result<Option<Bytes>, BadChunks> {
        match &self.at {
            At::End if self.waiting.is_empty() => Ok(None),
            At::End => Err(BadChunks),
            At::Head => {
                let Some(line) = self.line()? else { return Ok(None) };
                self.at = self.begin(&line)?;
                Ok(Some(Bytes::new()))
            }
            At::Data { size, .. } if self.waiting.len() < size.saturating_add(END_OF_LINE.len()) => Ok(None),
            At::Data { .. } => self.chunk().map(Some),
            At::Trailer(_) => self.trailer(),
        }
    }

    /// The line of a chunk's head: `10000;chunk-signature=…`.
    fn begin(&self, line: &str) -> Result<At, BadChunks> {
        let (size, signature) = line.split_once(";chunk-signature=").ok_or(BadChunks)?;
        let plain = (1..=8).contains(&size.len()) && size.bytes().all(|digit| digit.is_ascii_hexdigit());
        let size = usize::from_str_radix(size, 16).ok().filter(|size| plain && *size <= LARGEST);
        let size = size.ok_or(BadChunks)?;
        if u64::try_from(size).unwrap_or(u64::MAX) > self.left || signature.len() != 64 {
            return Err(BadChunks);
        }
        let signature = signature.to_owned();
        if size > 0 {
            return Ok(At::Data { size, signature });
        }
        // The last one holds nothing, and closes either the body or what goes before its trailer.
        self.verify("AWS4-HMAC-SHA256-PAYLOAD", &format!("{NOTHING}\n{NOTHING}"), &signature)?;
        Ok(At::Trailer(if self.has_trailer { signature } else { String::new() }))
    }

    fn chunk(&mut self) -> Result<Bytes, BadChunks> {
        let At::Data { size, signature } = std::mem::replace(&mut self.at, At::Head) else {
            return Err(BadChunks);
        };
        let data = self.waiting.split_to(size).freeze();
        if self.waiting.split_to(END_OF_LINE.len()) != END_OF_LINE {
            return Err(BadChunks);
        }
        let hash = hex(&sha256(&data));
        self.verify("AWS4-HMAC-SHA256-PAYLOAD", &format!("{NOTHING}\n{hash}"), &signature)?;
        self.head.signature = signature;
        self.left = self.left.saturating_sub(u64::try_from(size).unwrap_or(u64::MAX));
        Ok(std::mem::replace(&mut self.held, data))
    }

    /// What is behind the last chunk: an empty line, or, with a trailer, its fields, their signature, an empty line.
    fn trailer(&mut self) -> Result<Option<Bytes>, BadChunks> {
        let At::Trailer(last) = &self.at else { return Err(BadChunks) };
        if !self.has_trailer {
            let Some(line) = self.line()? else { return Ok(None) };
            self.at = At::End;
            return if line.is_empty() { Ok(Some(Bytes::new())) } else { Err(BadChunks) };
        }
        let Some(end) = memchr::memmem::find(&self.waiting, b"\r\n\r\n") else {
            return if self.waiting.len() > LONGEST_TRAILER { Err(BadChunks) } else { Ok(None) };
        };
        let last = last.clone();
        let lines = self.waiting.split_to(end.saturating_add(4));
        let text = std::str::from_utf8(&lines).map_err(|_| BadChunks)?;
        let (mut fields, mut signature) = (String::new(), None);
        for line in text.split("\r\n").map(str::trim).filter(|line| !line.is_empty()) {
            let (name, value) = line.split_once(':').ok_or(BadChunks)?;
            match name.trim() {
                "x-amz-trailer-signature" => signature = Some(value.trim()),
                name if signature.is_none() => fields.push_str(&format!("{name}:{}\n", value.trim())),
                _ => return Err(BadChunks),
            }
        }
        self.head.signature = last;
        let hash = hex(&sha256(fields.as_bytes()));
        self.verify("AWS4-HMAC-SHA256-TRAILER", &hash, signature.ok_or(BadChunks)?)?;
        self.at = At::End;
        Ok(Some(Bytes::new()))
    }

    /// A whole line of what waits, without its end.
    fn line(&mut self) -> Result<Option<String>, BadChunks> {
        let Some(end) = memchr::memmem::find(&self.waiting, END_OF_LINE) else {
            return if self.waiting.len() > LONGEST_LINE { Err(BadChunks) } else { Ok(None) };
        };
        let line = self.waiting.split_to(end.saturating_add(END_OF_LINE.len()));
        let line = line.strip_suffix(END_OF_LINE).unwrap_or_default();
        String::from_utf8(line.to_vec()).map(Some).map_err(|_| BadChunks)
    }

    fn verify(&self, algorithm: &str, content: &str, signature: &str) -> Result<(), BadChunks> {
        let Verified { key, date, signature: previous } = &self.head;
        let text = format!("{algorithm}\n{date}\n{}\n{previous}\n{content}", key.scope);
        if equal(key.sign(&text).as_bytes(), signature.as_bytes()) { Ok(()) } else { Err(BadChunks) }
    }
}

const END_OF_LINE: &[u8] = b"\r\n";

/// The hash of no bytes.
const NOTHING: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

/// What SDKs send is far smaller; no more than two are held at once.
const LARGEST: usize = 1 << 20;
const LONGEST_LINE: usize = 128;
const LONGEST_TRAILER: usize = 1024;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::token::random::Secret;
    use crate::token::signature::sigv4::{Scope, SigningKey};

    fn head() -> Verified {
        let scope = Scope { date: "20130524", region: "us-east-1", service: "s3" };
        let secret = Secret::new("wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY".to_owned());
        Verified {
            key: SigningKey::new(&secret, scope),
            date: "20130524T000000Z".to_owned(),
            signature: "4f232c4386841ef735655705268965c44a0e4690baa4adea153f7db9fa80a0a9".to_owned(),
        }
    }

    /// The example of Amazon's public description: 66,560 letters in chunks of 64 KiB.
    fn example() -> Vec<u8> {
        let parts: [(usize, &str); 3] = [
            (65536, "ad80c730a21e5b8d04586a2213dd63b9a0e99e0e2307b0ade35a65485a288648"),
            (1024, "0055627c9e194cb4542bae2aa5492e3c1575bbb81b612b7d234b86a503ef5497"),
            (0, "b6c6ea8a5354eaf15b3cb7646744f4275b71ea724fed81ceb9323e279d449df9"),
        ];
        let of = |(size, signature): (usize, &str)| {
            let head = format!("{size:x};chunk-signature={signature}\r\n");
            [head.as_bytes(), &vec![b'a'; size], b"\r\n"].concat()
        };
        parts.into_iter().flat_map(of).collect()
    }

    fn decode(body: &[u8], length: u64, piece: usize) -> Result<Vec<u8>, BadChunks> {
        let mut chunks = Chunks::new(head(), length, false);
        let mut passed = Vec::new();
        for piece in body.chunks(piece) {
            passed.extend_from_slice(&chunks.take(piece)?);
        }
        passed.extend_from_slice(&chunks.end()?);
        Ok(passed)
    }

    #[test]
    fn signed_chunks_pass_in_whatever_pieces_they_arrive() {
        for piece in [1, 7, 1000, 65536, 100_000] {
            assert_eq!(decode(&example(), 66560, piece).unwrap(), vec![b'a'; 66560]);
        }
    }

    #[test]
    fn a_body_that_was_changed_cut_off_or_made_longer_never_ends() {
        let good = example();
        for at in [0, 5, 90, 66_000, good.len() - 5] {
            let mut changed = good.clone();
            changed[at] ^= 1;
            assert!(decode(&changed, 66560, 4096).is_err(), "{at}");
        }
        assert!(decode(&good[..good.len() - 1], 66560, 4096).is_err());
        assert!(decode(&[&good[..], b"x"].concat(), 66560, 4096).is_err());
        assert!(decode(&good, 66561, 4096).is_err() && decode(&good, 66559, 4096).is_err());
    }

    #[test]
    fn the_last_chunk_waits_for_the_end() {
        let (good, mut chunks) = (example(), Chunks::new(head(), 66560, false));
        let passed = chunks.take(&good[..good.len() - 86]).unwrap();
        assert_eq!(passed.len(), 65536, "the chunk of 1,024 bytes is held");
    }
}
