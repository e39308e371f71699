/** From the script of texts that each page begins with. */
declare function gettext(text: string): string;
declare function ngettext(singular: string, plural: string, count: number): string;
/** Fills `%(name)s` in a text. */
declare function interpolate(text: string, values: Record<string, string | number>, named: true): string;
