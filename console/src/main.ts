import { mount } from "svelte";
import App from "./App.svelte";
import "./app.css";
import { start as startLanguage } from "./lib/i18n.svelte";
import { start as startTheme } from "./lib/theme.svelte";

startTheme();
// The first words should be in the right language: a page that changes its language under the eyes is unpleasant.
await startLanguage();
const target = document.getElementById("app");
if (target) mount(App, { target });
