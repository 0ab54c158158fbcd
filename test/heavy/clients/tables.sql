CREATE TABLE covid_test (
  rownames integer PRIMARY KEY,
  subject_id integer NOT NULL,
  fake_first_name text NOT NULL,
  fake_last_name text NOT NULL,
  gender text,
  pan_day integer,
  test_id text,
  clinic_name text,
  result text,
  demo_group text,
  age numeric,
  drive_thru_ind smallint,
  ct_result double precision,
  orderset smallint,
  payor_group text,
  patient_class text,
  col_rec_tat real,
  rec_ver_tat real
);
CREATE TABLE follow_up (
  id integer PRIMARY KEY,
  subject_id integer,
  due date,
  remark varchar(200) DEFAULT 'call back'
);
