//! Compresses standard input with libzstd 1.5.7, as a stream in one thread.
//!
//!     libzstd-judge LEVEL [--checksum] [--size BYTES]
//!     libzstd-judge --version

use std::io::{self, stdin, stdout};

use anyhow::{Context, Result, bail};
use zstd::stream::Encoder;

fn main() -> Result<()> {
    let mut args = std::env::args().skip(1);
    let level = args.next().context("no level")?;
    if level == "--version" {
        println!("{}", zstd::zstd_safe::version_string());
        return Ok(());
    }
    let mut encoder = Encoder::new(stdout().lock(), level.parse()?)?;
    while let Some(arg) = args.next() {
        match arg.as_str() {
            "--checksum" => encoder.include_checksum(true)?,
            "--size" => encoder.set_pledged_src_size(Some(args.next().context("no size")?.parse()?))?,
            _ => bail!("no such option: {arg}"),
        }
    }
    io::copy(&mut stdin().lock(), &mut encoder)?;
    let _ = encoder.finish()?;
    Ok(())
}
