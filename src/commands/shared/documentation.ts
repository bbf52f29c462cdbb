/** Addresses of the documentation. Help texts and SARIF logs link to it. */

const DOCS = 'https://github.com/podfence/podfence/blob/main/docs';

/**
 * Returns the address of a page.
 * @param page a file of docs/
 * @param anchor a heading of the page, as GitHub's anchors have it: `pf101-unknown-field`
 */
export function documentationAddress(page: string, anchor?: string): string {
  return `${DOCS}/${page}${anchor === undefined ? '' : `#${anchor}`}`;
}
