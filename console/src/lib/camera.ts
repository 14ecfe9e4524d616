/** Why there is no picture from a camera, in the reader's language: browsers say it in their own. */

import { t } from "./i18n.svelte";

export function cameraFailure(error: Error): string {
  if (error.name === "NotAllowedError") return t("camera.denied");
  return t(error.name === "NotFoundError" || error.name === "OverconstrainedError" ? "camera.none" : "camera.busy");
}
