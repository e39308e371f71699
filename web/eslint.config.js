import js from "@eslint/js";
import globals from "globals";

// From the script of texts that each page begins with.
const texts = { gettext: "readonly", ngettext: "readonly", interpolate: "readonly" };

export default [
  js.configs.recommended,
  {
    languageOptions: { ecmaVersion: 2024, sourceType: "module", globals: { ...globals.browser, ...texts } },
    linterOptions: { reportUnusedDisableDirectives: "error" },
    rules: {
      curly: ["error", "multi-line"],
      eqeqeq: "error",
      "max-lines": ["error", 260],
      "no-eval": "error",
      "no-var": "error",
      "no-warning-comments": "error",
      "prefer-const": "error",
    },
  },
];
