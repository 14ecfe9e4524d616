/** Photographs that the reader chose. They stay in the page: nothing of them is kept but what the server is asked to keep. */

import type { Box } from "./api";

export interface Photo {
  /** What is sent to the server. */
  blob: Blob;
  /** Name of the file, or what it is. */
  name: string;
  /** Where the page shows it from; revoked by [`drop`]. */
  url: string;
}

/** Most bytes of an image that the server takes. */
export const BYTES_MAX = 20 * 1024 * 1024;

const IMAGE_NAME = /\.(jpe?g|png|webp|gif|bmp)$/i;

export function photo(blob: Blob, name: string): Photo {
  return { blob, name, url: URL.createObjectURL(blob) };
}

export function drop(photo: Photo | undefined): void {
  if (photo) URL.revokeObjectURL(photo.url);
}

export interface Found {
  file: File;
  /** Path below the folder that was dropped. */
  path: string;
}

/** Whether a name is that of a picture in a format that the server reads. */
export function isImage(file: File): boolean {
  return IMAGE_NAME.test(file.name) || (file.type.startsWith("image/") && !/heic|heif|avif|tiff|svg/.test(file.type));
}

/** Files of a drop or paste, folders gone through; at most `max`. */
export async function filesOf(transfer: DataTransfer, max: number): Promise<Found[]> {
  const entries = [...transfer.items].filter((item) => item.kind === "file").map((item) => item.webkitGetAsEntry());
  // A pasted picture is no entry of a file system.
  if (entries.every((entry) => !entry)) return [...transfer.files].map((file) => ({ file, path: file.name }));
  const found: Found[] = [];
  for (const entry of entries) if (entry) await gather(entry, found, max);
  return found;
}

async function gather(entry: FileSystemEntry, found: Found[], max: number): Promise<void> {
  if (found.length >= max || entry.name.startsWith(".")) return;
  if (entry.isFile) {
    const file = await new Promise<File>((done, failed) => (entry as FileSystemFileEntry).file(done, failed));
    found.push({ file, path: entry.fullPath.replace(/^\//, "") });
    return;
  }
  const reader = (entry as FileSystemDirectoryEntry).createReader();
  // A reader gives a few entries at a time, and none when it is through.
  for (;;) {
    const some = await new Promise<FileSystemEntry[]>((done, failed) => reader.readEntries(done, failed));
    if (some.length === 0) return;
    for (const inner of some) await gather(inner, found, max);
  }
}

/** The picture as the server sees it: upright. */
export async function bitmap(blob: Blob): Promise<ImageBitmap> {
  return createImageBitmap(blob, { imageOrientation: "from-image" });
}

/** A box with room around it, within the picture. `room` is a share of the longer side. */
function roomy(box: Box, room: number, width: number, height: number): Box {
  const margin = Math.max(box.width, box.height) * room;
  const left = Math.max(0, Math.floor(box.left - margin));
  const top = Math.max(0, Math.floor(box.top - margin));
  return {
    left,
    top,
    width: Math.min(width, Math.ceil(box.left + box.width + margin)) - left,
    height: Math.min(height, Math.ceil(box.top + box.height + margin)) - top,
  };
}

function drawn(image: ImageBitmap, from: Box, width: number, height: number): HTMLCanvasElement {
  const canvas = document.createElement("canvas");
  canvas.width = width;
  canvas.height = height;
  const context = canvas.getContext("2d");
  if (context) {
    context.imageSmoothingQuality = "high";
    context.drawImage(image, from.left, from.top, from.width, from.height, 0, 0, width, height);
  }
  return canvas;
}

async function encoded(canvas: HTMLCanvasElement, type: string, quality?: number): Promise<Blob> {
  return new Promise((done, failed) => {
    canvas.toBlob((blob) => (blob ? done(blob) : failed(new Error("the picture cannot be encoded"))), type, quality);
  });
}

/** A small square of a face for showing, at most `side` pixels. */
export async function crop(image: ImageBitmap, box: Box, side = 160): Promise<string> {
  const edge = Math.max(box.width, box.height) * 1.5;
  const square = {
    left: box.left + box.width / 2 - edge / 2,
    top: box.top + box.height / 2 - edge / 2,
    width: edge,
    height: edge,
  };
  return URL.createObjectURL(await encoded(drawn(image, square, side, side), "image/jpeg", 0.85));
}

/** Room around a face that is cut out, as a share of the longer side of its box. */
export const CUT_ROOM = 0.5;

/** One face of a group picture at full size with room around it, for sending. */
export async function cutOut(image: ImageBitmap, box: Box): Promise<Blob> {
  const from = roomy(box, CUT_ROOM, image.width, image.height);
  return sendable(await encoded(drawn(image, from, from.width, from.height), "image/png"));
}

/** A picture that is too large to send, smaller; others as they are. */
export async function sendable(blob: Blob): Promise<Blob> {
  if (blob.size <= BYTES_MAX) return blob;
  const image = await bitmap(blob);
  const scale = Math.min(1, 4000 / Math.max(image.width, image.height));
  const whole = { left: 0, top: 0, width: image.width, height: image.height };
  const canvas = drawn(image, whole, Math.round(image.width * scale), Math.round(image.height * scale));
  image.close();
  return encoded(canvas, "image/jpeg", 0.92);
}
