/** Schema of what Clarus keeps in a shadow database: no schema of an application has its name. */
export const OWN_SCHEMA = 'clarus';
/** Name of the foreign server that carriers read from. */
export const CARRIER_SERVER = 'clarus_carriers';
