/**
 * What names and types of columns tell about their contents: the rules of proposed protections, the first that
 * fits holds. Cautious: what a cloud has no need to answer over is stored without queries, and what nothing is
 * known of is encrypted. The identifiers follow the 18 of HIPAA's safe harbor (45 CFR 164.514(b)(2)).
 */
import { type Rule, rule, words } from './propose-rule.js';

const person = '(patient|subject|person|participant|customer|client|member|donor|employee|proband)';
const moments = ['date', 'timestamp'] as const;
const numbers = ['integer', 'number'] as const;

/** The rules, in the order in which they are tried. */
export const rules: readonly Rule[] = [
  rule(
    'confidential',
    [],
    'a secret, never searched',
    words('password, passwd, pwd, secret, token, api key, private key, salt, pin, password hash'),
  ),
  rule(
    'identifier',
    ['equality'],
    'an e-mail address',
    words('e mail, email, mail, email address, e mail address'),
  ),
  rule(
    'identifier',
    ['equality'],
    'a telephone number',
    words('phone, telephone, phone number, mobile, cell, fax, tel, telefon, msisdn'),
  ),
  rule(
    'identifier',
    ['equality'],
    'a device or network address',
    words('ip, ip address, ip addr, mac address, imei, device id, device serial, user agent, hostname'),
  ),
  rule(
    'identifier',
    ['equality'],
    'an official number of a person',
    words(
      'ssn, social security, social security number, nhs, nhs number, nin, national id, tax id, passport, passport number, driver license, drivers license, licence number, license number, license plate, ahv, insee, cpf',
    ),
  ),
  rule(
    'identifier',
    ['equality'],
    'an account or card number',
    words(
      'iban, account number, account no, credit card, card number, insurance number, insurance no, policy number, health plan number, beneficiary number',
    ),
  ),
  rule(
    'identifier',
    ['equality'],
    'a medical record number',
    words('mrn, medical record, medical record number, medical record no, chart number, hospital number'),
  ),
  rule(
    'identifier',
    ['equality'],
    "a person's number",
    new RegExp(`_${person}_?(id|no|nr|num|number|code|key|identifier|uuid)_`, 'u'),
  ),
  rule(
    'identifier',
    ['equality'],
    "a user's name",
    words('username, user name, login, login name, account name, handle'),
  ),
  rule(
    'identifier',
    ['equality'],
    "a person's name",
    words(
      'first name, last name, middle name, given name, family name, full name, maiden name, surname, forename, fname, lname, nickname, initial, vorname, nachname, familienname, prenom, apellido, cognome, mother name, father name, contact name, physician name, doctor name, next of kin',
    ),
  ),
  rule('identifier', ['equality'], "a person's name", new RegExp(`_${person}_?name_`, 'u')),
  rule(
    'quasi-identifier',
    ['range'],
    'a date of birth',
    words(
      'dob, birth date, date of birth, birthdate, birthday, birth day, birth year, year of birth, yob, born, geburtsdatum, date naissance, fecha nacimiento',
    ),
    { families: [...moments, ...numbers, 'text'] },
  ),
  rule(
    'quasi-identifier',
    ['range'],
    'a date of death',
    words('death date, date of death, dod, deceased date, died, deathdate'),
  ),
  rule(
    'quasi-identifier',
    ['range', 'sum'],
    'an age',
    words('age, age year, age month, age at, alter, edad'),
    { families: numbers },
  ),
  rule(
    'identifier',
    [],
    'a picture or measurement of the body that identifies',
    words('photo, photograph, portrait, face, fingerprint, retina, voiceprint, biometric, signature'),
  ),
  rule(
    'quasi-identifier',
    [],
    'a place on the map',
    words('latitude, longitude, lat, lon, lng, geo, geom, coordinate, location'),
  ),
  rule(
    'quasi-identifier',
    [],
    'a place of few values: a tag would give it away',
    words('country, nation, state, province, region, continent'),
  ),
  rule(
    'quasi-identifier',
    ['equality'],
    'a place of living',
    words(
      'zip, zip code, zipcode, postcode, postal code, plz, city, town, municipality, county, district, suburb, village',
    ),
  ),
  rule(
    'identifier',
    [],
    'a postal address',
    words('address, street, addr, address line, street address, house number, strasse'),
  ),
  rule(
    'quasi-identifier',
    [],
    'few values: a tag would give them away',
    words(
      'sex, gender, male, female, race, ethnicity, ethnic, religion, marital, marital status, relationship, nationality, citizenship, native country, language, education, occupation, profession, job, job title, workclass, employer',
    ),
  ),
  rule(
    'non-confidential',
    [],
    'bookkeeping of the application',
    words(
      'created, created at, created on, updated, updated at, updated on, modified, modified at, last modified, inserted, inserted at, deleted at, loaded at, synced at, row version, version',
    ),
    { families: [...moments, 'integer'], protect: 'none' },
  ),
  rule(
    'quasi-identifier',
    ['range'],
    'the moment of an event in a life',
    words(
      'admission, admitted, discharge, discharged, visit, encounter, appointment, service, surgery, procedure, onset, collected, collection, specimen, sample, result, test, exam, diagnosis, treatment, event, prescribed, administered, arrival',
    ),
    { families: moments },
  ),
  rule(
    'confidential',
    [],
    'a finding or treatment',
    words(
      'diagnosis, diagnose, diagnostic, dx, icd, icd 9, icd 10, icd10, icd9, snomed, loinc, condition, disease, illness, symptom, complaint, result, finding, outcome, lab, test result, reading, interpretation, allergy, allergies, procedure, treatment, therapy, medication, drug, medicine, prescription, dose, dosage, cpt, blood type, blood group, genotype, mutation, variant, hiv, cancer, tumor, tumour, stage, cause of death, smoking, smoker, alcohol, pregnant, pregnancy, disability, vaccine',
    ),
    { families: ['text', 'boolean', 'json', 'array', 'other', 'uuid'] },
  ),
  rule(
    'confidential',
    ['sum'],
    'a measured value',
    words(
      'result, value, measurement, measure, weight, height, bmi, blood pressure, systolic, diastolic, pulse, heart rate, temperature, glucose, cholesterol, hemoglobin, haemoglobin, creatinine, dose, dosage, score, ct result, titer, viral load, level, quantity',
    ),
    { families: numbers },
  ),
  rule(
    'confidential',
    ['sum'],
    'an amount of money',
    words(
      'amount, price, cost, charge, charges, fee, payment, balance, salary, wage, income, revenue, tax, capital gain, capital loss, premium, copay',
    ),
    { families: [...numbers] },
  ),
  rule(
    'confidential',
    [],
    'free text: anything may be in it (grant words to let the cloud search it)',
    words(
      'note, comment, remark, description, narrative, report, memo, history, anamnesis, message, body, text, free text, summary, reason, instruction, letter, content, observation, bemerkung',
    ),
    { families: ['text', 'json', 'other'] },
  ),
  rule(
    'quasi-identifier',
    [],
    'tells who or where someone was treated',
    words(
      'clinic, clinic name, hospital, ward, department, facility, provider, physician, doctor, nurse, practitioner, payor, payer, insurer, insurance, payor group, employer name, school, site',
    ),
    { guess: true },
  ),
  rule(
    'confidential',
    [],
    'few values: a tag would give them away',
    words(
      'status, type, kind, category, class, flag, indicator, ind, group, code, level, grade, gender code',
    ),
    { guess: true },
  ),
  rule(
    'quasi-identifier',
    ['range'],
    'a day: it dates an event in a life',
    words('day, days, month, year, week, futime, follow up'),
    { guess: true, families: numbers },
  ),
  rule(
    'non-confidential',
    [],
    'looks technical',
    words(
      'rowname, row name, row number, row num, sort order, sort, ordinal, sequence, seq, enabled, active, locale, currency, sort key, revision',
    ),
    { guess: true, protect: 'none' },
  ),
  rule(
    'identifier',
    ['equality'],
    'looks like a number or code that stands for someone or something',
    /_(id|no|nr|num|number|key|uuid|guid|identifier|ref|reference)_$/u,
    { guess: true, families: ['text', 'integer', 'uuid'] },
  ),
];
