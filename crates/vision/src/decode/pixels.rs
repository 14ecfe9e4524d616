//! The pixels of PNG, BMP, WebP and GIF as their decoders give them, made RGB of eight bits.

use image::ColorType;

/// Any colour type that the decoders give, as RGB over white. In place where it shrinks.
pub(super) fn to_rgb(stored: Vec<u8>, color: ColorType) -> Option<Vec<u8>> {
    let mut rgb = converted(stored, color)?;
    // What was made in place would keep the room of all channels for as long as the picture lives.
    rgb.shrink_to_fit();
    Some(rgb)
}

fn converted(stored: Vec<u8>, color: ColorType) -> Option<Vec<u8>> {
    let stored = match color {
        ColorType::L16 | ColorType::La16 | ColorType::Rgb16 | ColorType::Rgba16 => to_eight_bits(stored),
        _ => stored,
    };
    match color {
        ColorType::L8 | ColorType::L16 => Some(stored.into_iter().flat_map(|grey| [grey; 3]).collect()),
        ColorType::La8 | ColorType::La16 => {
            Some(stored.chunks_exact(2).flat_map(|pixel| [over_white(pixel[0], pixel[1]); 3]).collect())
        }
        ColorType::Rgb8 | ColorType::Rgb16 => Some(stored),
        ColorType::Rgba8 | ColorType::Rgba16 => Some(drop_alpha(stored)),
        _ => None,
    }
}

fn to_eight_bits(mut stored: Vec<u8>) -> Vec<u8> {
    let n_values = stored.len() / 2;
    for value_idx in 0..n_values {
        let value = u16::from_ne_bytes([stored[value_idx * 2], stored[value_idx * 2 + 1]]);
        stored[value_idx] = ((u32::from(value) + 128) / 257) as u8;
    }
    stored.truncate(n_values);
    stored
}

fn drop_alpha(mut stored: Vec<u8>) -> Vec<u8> {
    let n_pixels = stored.len() / 4;
    for pixel_idx in 0..n_pixels {
        let alpha = stored[pixel_idx * 4 + 3];
        for channel in 0..3 {
            stored[pixel_idx * 3 + channel] = over_white(stored[pixel_idx * 4 + channel], alpha);
        }
    }
    stored.truncate(n_pixels * 3);
    stored
}

fn over_white(value: u8, alpha: u8) -> u8 {
    let (value, alpha) = (u32::from(value), u32::from(alpha));
    ((value * alpha + 255 * (255 - alpha) + 127) / 255) as u8
}

/// A bitmap of 32 bits whose fourth byte is 0 in every pixel does not use it: such files are opaque, not invisible.
pub(super) fn mend_unused_alpha(stored: &mut [u8]) {
    if stored.chunks_exact(4).all(|pixel| pixel[3] == 0) {
        stored.chunks_exact_mut(4).for_each(|pixel| pixel[3] = 255);
    }
}
